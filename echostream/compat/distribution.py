"""Checks of what is installed, with the commands that put it right."""

import functools
import importlib.metadata
import re
import sys

import torch

REQUIRED_DISTRIBUTION = "ve-fairseq"
REQUIRED_VERSION = "0.12.3"
MINIMUM_TORCH = (2, 5)  # torch.serialization.safe_globals


class FairseqInstallationError(RuntimeError):
    """The environment cannot run EchoStream; the message holds the commands that repair it."""


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def fairseq_distributions() -> tuple[tuple[str, str], ...]:
    """Name and version of every installed distribution that provides a package called `fairseq`."""
    names = importlib.metadata.packages_distributions().get("fairseq", [])
    return tuple(sorted({(_normalise(name), importlib.metadata.version(name)) for name in names}))


def check_fairseq_distribution(installed: tuple[tuple[str, str], ...] | None = None) -> None:
    """Raise unless ve-fairseq 0.12.3 is installed and is the only distribution of `fairseq`.

    Args:
        installed: (name, version) pairs; None looks at the running environment.
    Raises:
        FairseqInstallationError: otherwise, with the pip commands to run.
    """
    found = fairseq_distributions() if installed is None else installed
    if found == ((REQUIRED_DISTRIBUTION, REQUIRED_VERSION),):
        return
    pip = f"{sys.executable} -m pip"
    wanted = f"{REQUIRED_DISTRIBUTION}=={REQUIRED_VERSION}"
    commands = [f"{pip} install --force-reinstall --no-deps {wanted}"]
    if found:
        commands.insert(0, f"{pip} uninstall --yes {' '.join(name for name, _ in found)}")
    listed = ", ".join(f"{name} {version}" for name, version in found)
    if len(found) > 1:
        problem = f"several distributions of fairseq are installed and overwrite each other: {listed}"
    elif found:
        problem = f"{listed} provides fairseq here, but {wanted} is needed"
    else:
        problem = f"fairseq is not installed as a distribution; {wanted} is needed"
    raise FairseqInstallationError(f"{problem}. Run:\n  " + "\n  ".join(commands))


def check_torch_version(version: str | None = None) -> None:
    """Raise when torch is older than the safe loading of checkpoints needs.

    Args:
        version: such as "2.13.0+cpu"; None takes the installed one.
    """
    text = torch.__version__ if version is None else version
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None or (int(match[1]), int(match[2])) < MINIMUM_TORCH:
        needed = ".".join(map(str, MINIMUM_TORCH))
        raise FairseqInstallationError(
            f"torch {text} is too old: {needed} or newer is needed. Run:\n"
            f"  {sys.executable} -m pip install 'torch>={needed}'"
        )
