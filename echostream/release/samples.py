"""A few short sentences to try a release on."""

from pathlib import Path

import soundfile

from echostream.evaluation.source_audio import locate_source

TEXTS = ("src.txt", "target.txt")


def copy_samples(lists: Path, output: Path, *, count: int, max_seconds: float) -> None:
    """Copy the first utterances that are short enough, as 16-bit wav files, with their texts.

    Args:
        lists: folder of wav_list.txt, src.txt and target.txt.
        output: folder to make; its wav_list.txt names the files as seen from it.
        count: how many.
        max_seconds: the longest.
    Raises:
        FileNotFoundError: for a missing list or file.
        ValueError: when there are too few, or the lists are not of one length.
    """
    names = ("wav_list.txt", *TEXTS)
    columns = [(lists / name).read_text(encoding="utf-8").splitlines() for name in names]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"{lists}: {', '.join(names)} are not of one length")
    rows = [(locate_source(wav, lists), *texts) for wav, *texts in zip(*columns, strict=True)]
    chosen = [row for row in rows if soundfile.info(row[0]).duration <= max_seconds][:count]
    if len(chosen) < count:
        raise ValueError(
            f"{lists}: only {len(chosen)} utterances are at most {max_seconds:g} s long, not {count}"
        )
    output.mkdir(parents=True)
    wavs = [f"sample_{number}.wav" for number in range(1, count + 1)]
    for (source, *_), wav in zip(chosen, wavs, strict=True):
        samples, rate = soundfile.read(source, dtype="int16")
        soundfile.write(output / wav, samples, rate, subtype="PCM_16")
    for name, lines in zip(names, (wavs, *list(zip(*chosen, strict=True))[1:]), strict=True):
        (output / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
