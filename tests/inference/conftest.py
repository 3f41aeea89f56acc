"""A random checkpoint of each architecture, made once."""

import pytest

from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyCheckpoint]:
    """By architecture."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {arch: make_checkpoint(folder / arch, arch) for arch in ("echostream", "streamspeech")}
