"""A corpus of a few sentences, built once for the tests that look at files."""

from pathlib import Path

import pytest

from echostream.corpus.mini import MiniBuilder
from tests.corpus.tiny_builds import tiny_config


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus") / "tiny"
    MiniBuilder(tiny_config(root)).build()
    return root
