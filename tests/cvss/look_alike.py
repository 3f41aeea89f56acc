"""A small corpus with the layout of CoVoST 2 and CVSS-C: names, tables, mp3 at 48 kHz, wav at 24 kHz.

python -m tests.cvss.look_alike FOLDER
"""

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from echostream.corpus import synthesis
from echostream.corpus.grammar import Sentence, sample_splits
from echostream.corpus.lexicon import load_lexicon

SIZES = {"train": 16, "dev": 4, "test": 4}
SOURCE_RATE, TARGET_RATE = 48000, 24000
FIRST_NUMBER = 17299384


@dataclass(frozen=True)
class LookAlike:
    """Where the two downloads are."""

    covost_root: Path
    cvss_root: Path

    def clips(self, split: str) -> list[str]:
        """Names of a split's clips in the order of CVSS."""
        lines = (self.cvss_root / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        return [line.split("\t")[0] for line in lines]


def written_form(sentence: str, number: int) -> str:
    """A transcript as people write them: capitals, punctuation, quotation marks."""
    text = sentence[0].upper() + sentence[1:]
    return f'"{text}", dit-elle.' if number % 5 == 0 else f"{text} !"


def write_covost_table(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """A table as CoVoST 2's script writes it: tabs, no quotes, a backslash before special characters."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n"
        )
        writer.writerow(("path", "sentence", "translation", "client_id"))
        writer.writerows(rows)


def _at_rate(samples: synthesis.Samples, rate: int) -> npt.NDArray[np.float32]:
    return np.clip(soxr.resample(samples, synthesis.SAMPLE_RATE, rate), -1.0, 1.0)


def _write_split(corpus: LookAlike, split: str, sentences: list[Sentence], first_number: int) -> None:
    covost_rows, cvss_lines = [], []
    (corpus.cvss_root / split).mkdir()
    for offset, sentence in enumerate(sentences):
        clip = f"common_voice_fr_{first_number + offset}.mp3"
        voice = synthesis.TRAIN_VOICES[offset % len(synthesis.TRAIN_VOICES)]
        french = synthesis.speak(synthesis.Utterance(sentence.fr, Path(clip), "espeak-ng", voice))
        english = synthesis.speak(
            synthesis.Utterance(sentence.en, Path(clip), "flite", synthesis.TARGET_VOICE)
        )
        soundfile.write(corpus.covost_root / "clips" / clip, _at_rate(french, SOURCE_RATE), SOURCE_RATE)
        wav = corpus.cvss_root / split / f"{clip}.wav"
        soundfile.write(wav, _at_rate(english, TARGET_RATE), TARGET_RATE, subtype="PCM_16")
        written = written_form(sentence.fr, offset)
        covost_rows.append((clip, written, f"{sentence.en.capitalize()}.", f"speaker{offset % 3}"))
        cvss_lines.append(f"{clip}\t{sentence.en}\n")
    write_covost_table(corpus.covost_root / f"covost_v2.fr_en.{split}.tsv", covost_rows)
    # CVSS has another order than CoVoST 2.
    (corpus.cvss_root / f"{split}.tsv").write_text("".join(reversed(cvss_lines)), encoding="utf-8")


def build(root: Path, sizes: Mapping[str, int] = SIZES) -> LookAlike:
    """Write the corpus below `root`: covost2/fr and cvss-c/fr-en."""
    corpus = LookAlike(root / "covost2" / "fr", root / "cvss-c" / "fr-en")
    (corpus.covost_root / "clips").mkdir(parents=True)
    corpus.cvss_root.mkdir(parents=True)
    drawn = sample_splits(dict(sizes), 1, lexicon=load_lexicon())
    number = FIRST_NUMBER
    for split in sizes:
        _write_split(corpus, split, list(drawn[split]), number)
        number += len(drawn[split])
    return corpus


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
