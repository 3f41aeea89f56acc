"""A tiny trained model with sentences, and the release that is packed of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from echostream.release.pack import Parts, pack
from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint

TEXTS = ("un", "deux", "trois", "quatre")
SECONDS = (1.0, 9.0, 2.0, 1.5)


@dataclass(frozen=True)
class Packed:
    """A release, and what it was made of."""

    tiny: TinyCheckpoint
    parts: Parts
    folder: Path
    size_bytes: int


def write_sentences(folder: Path) -> None:
    """Lists of four utterances; the second one is long, and the paths are relative."""
    folder.mkdir(parents=True)
    for text, seconds in zip(TEXTS, SECONDS, strict=True):
        soundfile.write(folder / f"{text}.wav", noise(int(16000 * seconds)), 16000, subtype="FLOAT")
    (folder / "wav_list.txt").write_text("".join(f"{text}.wav\n" for text in TEXTS))
    (folder / "src.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    (folder / "target.txt").write_text("".join(f"{text} in English\n" for text in TEXTS))


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """The release; it is not to be changed."""
    work = tmp_path_factory.mktemp("release")
    tiny = make_checkpoint(
        work / "trained", "echostream", flags=["--user-dir", str(Path.cwd() / "echostream")]
    )
    write_sentences(tiny.folder / "simuleval" / "test")
    parts = Parts(
        model=tiny.checkpoint,
        data=tiny.folder,
        vocoder=tiny.vocoder,
        vocoder_config=tiny.vocoder_config,
        config_yaml=tiny.config_name,
        multitask_config_yaml=tiny.multitask_name,
        num_samples=2,
    )
    return Packed(tiny, parts, work / "demo", pack(parts, work / "demo"))
