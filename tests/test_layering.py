"""Imports only go down the layers, and each outside package is imported where it may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "echostream"

# The longest matching prefix counts.
LAYERS = {
    "echostream": 3,  # the plugin entry
    "echostream.streaming": 0,
    "echostream.policy": 0,
    "echostream.modules": 1,
    "echostream.vocoder": 1,
    "echostream.data": 3,
    "echostream.data.audio": 1,
    "echostream.data.fbank": 1,
    "echostream.compat": 3,
    "echostream.checkpoint_averaging": 3,
    "echostream.convert": 4,
    "echostream.models": 3,
    "echostream.tasks": 3,
    "echostream.criterions": 3,
    "echostream.inference": 4,
    "echostream.corpus": 4,
    "echostream.cvss": 4,
    "echostream.agents": 5,
    "echostream.evaluation": 5,
    "echostream.release": 5,
    "agent": 6,
}
MAY_IMPORT_FAIRSEQ = {3}
MAY_IMPORT_SIMULEVAL = {5, 6}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LAYERS and (length > 1 or module in LAYERS or prefix == "agent"):
            return LAYERS[prefix]
    raise AssertionError(f"{module} belongs to no layer: add it to LAYERS in {Path(__file__).name}")


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all that a file imports, inside functions too."""
    is_package = path.name == "__init__.py"
    own = module_name(path).split(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = own if is_package else own[:-1]
                base = ".".join(parent[: len(parent) - node.level + 1] + ([base] if base else []))
            for alias in node.names:
                child = ROOT / Path(*base.split("."), alias.name)
                is_module = child.is_dir() or child.with_suffix(".py").is_file()
                yield f"{base}.{alias.name}" if is_module else base


SOURCES = sorted([*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "agent").glob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    own = module_name(path)
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in {"agent", "scripts", "tests", "benchmarks"}, f"{own} imports {imported}"
        if top == PACKAGE and imported != PACKAGE:
            assert layer(imported) <= layer(own), f"{own} imports {imported}, which is above it"
        if top in {"fairseq", "fairseq_cli"}:
            allowed = layer(own) in MAY_IMPORT_FAIRSEQ or own == "echostream.inference.loading"
            assert allowed, f"{own} imports fairseq"
        if top == "simuleval":
            assert layer(own) in MAY_IMPORT_SIMULEVAL, f"{own} imports simuleval"
        if top == "torchaudio":
            assert own.startswith("echostream.compat"), f"{own} imports torchaudio"


def test_only_echostream_is_installed() -> None:
    from setuptools import find_packages

    packages = find_packages(str(ROOT), include=["echostream", "echostream.*"])
    assert packages
    on_disk = {module_name(path) for path in (ROOT / PACKAGE).rglob("__init__.py")}
    assert set(packages) == on_disk
    folders = {path.parent for path in (ROOT / PACKAGE).rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)
