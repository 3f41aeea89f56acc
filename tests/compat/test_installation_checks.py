"""What is installed is checked, with commands that put it right."""

import importlib

import pytest

from echostream.compat import (
    FairseqInstallationError,
    check_fairseq_distribution,
    check_torch_version,
    distribution,
    import_torchaudio,
    load_torchaudio_source,
)


def test_this_environment_is_right() -> None:
    check_fairseq_distribution()
    check_torch_version()
    assert distribution.fairseq_distributions() == (("ve-fairseq", "0.12.3"),)


@pytest.mark.parametrize(
    ("installed", "problem", "uninstalls"),
    [
        ((("fairseq", "0.12.2"),), "fairseq 0.12.2 provides fairseq here", "uninstall --yes fairseq"),
        (
            (("fairseq", "0.12.2"), ("ve-fairseq", "0.12.3")),
            "several distributions of fairseq",
            "uninstall --yes fairseq ve-fairseq",
        ),
        (
            (("ve-fairseq", "0.13.0"),),
            "ve-fairseq 0.13.0 provides fairseq here",
            "uninstall --yes ve-fairseq",
        ),
    ],
)
def test_wrong_fairseq(installed: tuple[tuple[str, str], ...], problem: str, uninstalls: str) -> None:
    with pytest.raises(FairseqInstallationError) as caught:
        check_fairseq_distribution(installed)
    message = str(caught.value)
    assert problem in message
    assert uninstalls in message
    assert "pip install --force-reinstall --no-deps ve-fairseq==0.12.3" in message


def test_missing_fairseq() -> None:
    with pytest.raises(FairseqInstallationError, match="not installed") as caught:
        check_fairseq_distribution(())
    assert "uninstall" not in str(caught.value)


@pytest.mark.parametrize("version", ["2.4.1", "1.13.0+cu117", "unknown"])
def test_old_torch(version: str) -> None:
    with pytest.raises(FairseqInstallationError, match="too old"):
        check_torch_version(version)


@pytest.mark.parametrize("version", ["2.5.0", "2.13.0+cpu", "3.0"])
def test_new_torch(version: str) -> None:
    check_torch_version(version)


@pytest.mark.parametrize("error", [OSError("undefined symbol"), ImportError("no module")])
def test_torchaudio_that_does_not_load(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(name: str) -> None:
        assert name == "torchaudio"
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match="torchaudio cannot be imported") as caught:
        import_torchaudio()
    assert caught.value.__cause__ is error


def test_torchaudio_source_works_without_the_extension() -> None:
    module = load_torchaudio_source("models/emformer.py")
    assert module is load_torchaudio_source("models/emformer.py")
    assert module.Emformer(input_dim=8, num_heads=2, ffn_dim=8, num_layers=1, segment_length=4) is not None
    with pytest.raises(ImportError, match="no such file"):
        load_torchaudio_source("models/none.py")
