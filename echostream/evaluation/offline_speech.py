"""ASR-BLEU of offline speech output: `python -m echostream.evaluation.offline_speech --help`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import soundfile

from echostream.data.manifest import read_tsv
from echostream.evaluation.asr_bleu import add_asr_args, write_asr_bleu
from echostream.evaluation.transcription import CommandTranscriber, TranscriptionError, transcribe_all


def score_speech(manifest: Path, wavs: Path, output: Path, asr_command: str) -> float:
    """Transcribe `0_pred.wav`, `1_pred.wav` … and compare them with the manifest's target text, in its order.

    Returns:
        The corpus score, which is kept in `output` with its signature and the transcripts.

    Raises:
        ManifestError: for a missing manifest, or one without the column `tgt_text`.
        TranscriptionError: when a wav file is missing or the recogniser fails.
    """
    references = [row["tgt_text"] for _, row in read_tsv(manifest, ("id", "tgt_text"))]
    transcriber = CommandTranscriber(asr_command)
    transcripts = transcribe_all(transcriber, [_speech(wavs, index) for index in range(len(references))])
    return write_asr_bleu(output, transcripts, references, recogniser=transcriber.name)


def _speech(wavs: Path, index: int) -> Path | None:
    """Return the wav file of an utterance; None for one that is empty, since no units were predicted."""
    path = wavs / f"{index}_pred.wav"
    return None if path.is_file() and soundfile.info(path).frames == 0 else path


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.offline_speech",
        description="ASR-BLEU of synthesised translations.",
    )
    parser.add_argument("--manifest", required=True, type=Path, help="TSV with id and tgt_text")
    parser.add_argument("--wavs", required=True, type=Path, help="folder of 0_pred.wav, 1_pred.wav …")
    parser.add_argument("--output", required=True, type=Path, help="folder for the score and the transcripts")
    add_asr_args(parser)
    args = parser.parse_args(argv)
    try:
        if args.asr_command is None:
            raise TranscriptionError(
                "--asr-command 'PROGRAM {wav}' is needed: it prints the transcript of a file"
            )
        print(f"ASR-BLEU {score_speech(args.manifest, args.wavs, args.output, args.asr_command):.2f}")
    except (FileNotFoundError, ValueError, TranscriptionError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
