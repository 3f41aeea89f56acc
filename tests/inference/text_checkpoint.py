"""A tiny checkpoint with the sentencepiece model of its text vocabulary, so that text can be spoken."""

import shutil
from pathlib import Path

from echostream.corpus.vocabulary import train_vocabulary
from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint

SENTENCES = (
    "the cat sleeps on the mat",
    "a dog and a cat sleep here",
    "no bird sings when the cat is near",
    "the old man reads the news to the cat",
)


def make_text_checkpoint(folder: Path, arch: str) -> TinyCheckpoint:
    """Write a random model over the pieces of `SENTENCES`."""
    vocabulary = folder / "vocabulary"
    vocabulary.mkdir(parents=True)
    train_vocabulary(SENTENCES, 60, vocabulary / "spm")
    lines = (vocabulary / "spm.txt").read_text(encoding="utf-8").splitlines()
    flags = ("--uni-encoder",)
    tiny = make_checkpoint(folder, arch, tuple(line.split()[0] for line in lines), flags)
    shutil.copy(vocabulary / "spm.model", folder / "dict.model")
    return tiny
