"""Speech from lists of units: `python -m echostream.vocoder.synthesis --help`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch

from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file
from echostream.vocoder.errors import VocoderError


def read_units(path: str | Path) -> list[list[int]]:
    """Read one utterance a line, units separated by spaces; an empty line is an utterance without units.

    Raises:
        FileNotFoundError: if there is no such file.
        VocoderError: naming the line that holds something else than units.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"list of units not found: {source}")
    utterances = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        wrong = next((word for word in words if not word.isdecimal()), None)
        if wrong is not None:
            raise VocoderError(f"{source}, line {number}: {wrong!r} is not a unit; units are whole numbers")
        utterances.append([int(word) for word in words])
    return utterances


def synthesise(
    vocoder: CodeHiFiGANVocoder, utterances: Sequence[Sequence[int]], folder: Path, *, dur_prediction: bool
) -> None:
    """Write `0_pred.wav`, `1_pred.wav` … to `folder`; an utterance without units gives an empty file."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, units in enumerate(utterances):
        waveform = torch.zeros(0)
        if units:
            waveform, _ = vocoder({"code": torch.tensor([units])}, dur_prediction)
        soundfile.write(folder / f"{index}_pred.wav", waveform.cpu().numpy(), vocoder.sample_rate)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.vocoder.synthesis", description="Turn lines of units into wav files."
    )
    parser.add_argument("--units", required=True, help="text file, one utterance a line")
    parser.add_argument("--output", required=True, help="folder of the wav files: 0_pred.wav, 1_pred.wav …")
    parser.add_argument("--vocoder", required=True, help="CodeHiFiGAN checkpoint")
    parser.add_argument("--vocoder-cfg", required=True, help="its JSON configuration")
    parser.add_argument("--dur-prediction", action="store_true", help="units come without repeats")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    args = parser.parse_args(argv)
    try:
        utterances = read_units(args.units)
        vocoder = CodeHiFiGANVocoder(args.vocoder, read_config_file(args.vocoder_cfg)).to(args.device)
        synthesise(vocoder, utterances, Path(args.output), dur_prediction=args.dur_prediction)
    except (VocoderError, FileNotFoundError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
