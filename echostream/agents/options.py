"""Command-line options of the agents: StreamSpeech's flags, with the same meaning where they have one.

Flags that mean nothing here are accepted, so that command lines of StreamSpeech work unchanged.
"""

import argparse
from argparse import ArgumentParser

from echostream.agents.option_checks import SHIFT_MS, WINDOW_MS
from echostream.data.fbank import NUM_MEL_BINS

TABLE = "table"
"""Value of `--output-asr-translation`."""


def parse_display(text: str) -> bool | str:
    """Read True/False, as `--output-asr-translation True`, or `TABLE`."""
    lowered = text.strip().lower()
    if lowered == TABLE:
        return TABLE
    if lowered in {"true", "1", "yes"}:
        return True
    if lowered in {"false", "0", "no"}:
        return False
    raise argparse.ArgumentTypeError(f"True or False is expected, or {TABLE}, not {text!r}")


def add_model_args(parser: ArgumentParser) -> None:
    """What to load, and where to."""
    parser.add_argument("--model-path", type=str, required=True, help="checkpoint of the translation model")
    parser.add_argument(
        "--data-bin", type=str, required=True, help="folder of the YAML files and dictionaries"
    )
    parser.add_argument(
        "--config-yaml",
        type=str,
        default=None,
        help="data configuration in --data-bin (default: the checkpoint's)",
    )
    parser.add_argument(
        "--multitask-config-yaml", type=str, default=None, help="configuration of the text tasks, likewise"
    )
    parser.add_argument(
        "--global-stats",
        type=str,
        default=None,
        help="npz file with mean and std in place of the configured one",
    )
    parser.add_argument(
        "--vocoder", type=str, default=None, help="CodeHiFiGAN checkpoint (default: the data configuration's)"
    )
    parser.add_argument("--vocoder-cfg", type=str, default=None, help="its JSON configuration")
    parser.add_argument(
        "--tgt-splitter-path",
        type=str,
        default=None,
        help="sentencepiece model of the target language; only synthesis from text needs it "
        "(default: the .model file beside the text decoder's dictionary)",
    )
    parser.add_argument(
        "--device", type=str, default="cpu", help="cpu, cuda, cuda:N, or gpu (the same as cuda)"
    )


def add_session_args(parser: ArgumentParser) -> None:
    """How a session runs, and what it tells."""
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute everything again at every chunk, as StreamSpeech's agents do; slow, for comparison",
    )
    parser.add_argument(
        "--extra-output-dir",
        type=str,
        default=None,
        help="folder for asr.txt, st.txt, unit.txt and steps.jsonl, the times of words and steps "
        "(default: --output)",
    )
    parser.add_argument(
        "--output-asr-translation",
        type=parse_display,
        nargs="?",
        const=True,
        default=False,
        help=f"print the transcription and the translation as they grow; {TABLE}: new words side by side",
    )


def add_compatibility_args(parser: ArgumentParser) -> None:
    """Flags of StreamSpeech's agents that change nothing, or may not be changed."""
    unused = "accepted for compatibility; "
    parser.add_argument("--user-dir", type=str, default=None, help="SimulEval imports this; not needed")
    parser.add_argument("--agent-dir", type=str, default="agent", help=unused + "not needed")
    parser.add_argument(
        "--segment-size", type=int, default=320, help=unused + "--source-segment-size sets the chunk"
    )
    parser.add_argument(
        "--unit-per-subword",
        type=int,
        default=15,
        help=unused + "the model decides how many units a subword has",
    )
    parser.add_argument(
        "--force-finish", action="store_true", help=unused + "the end of the source always flushes everything"
    )
    parser.add_argument(
        "--sample-rate", type=int, default=48000, help=unused + "the rate is read from each audio segment"
    )
    parser.add_argument("--shift-size", type=int, default=SHIFT_MS, help=f"must be {SHIFT_MS} (ms)")
    parser.add_argument("--window-size", type=int, default=WINDOW_MS, help=f"must be {WINDOW_MS} (ms)")
    parser.add_argument("--feature-dim", type=int, default=NUM_MEL_BINS, help=f"must be {NUM_MEL_BINS}")
    parser.add_argument(
        "--tgt-splitter-type", type=str, default="SentencePiece", help="must be SentencePiece"
    )
