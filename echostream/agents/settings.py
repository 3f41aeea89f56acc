"""The session's settings as command-line options: their names and defaults are those of `SessionOptions`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from echostream.inference.options import SessionOptions

Settings = Mapping[str, tuple[type, str]]

POLICY_SETTINGS: Settings = {
    "lagging_k1": (int, "tokens that the text stays behind the ST CTC head"),
    "stride_n": (int, "tokens that both CTC heads must gain between two writes"),
    "waitk_lagging": (
        int,
        "chunks to wait for before writing stride-n subwords for every stride-n chunks (wait-k-stride-n), in "
        "place of the CTC policy",
    ),
    "silence_dbfs": (
        float,
        "silence guard: chunks whose level (dB relative to full scale) is not above this never lead to a "
        "write of their own",
    ),
    "max_repeats": (
        int,
        "repetition guard: times that the same one to four subwords may follow each other; 0: off",
    ),
}
"""When to write."""

SEGMENT_SETTINGS: Settings = {
    "window_ms": (
        int,
        "source audio after which the text is committed and starts afresh at the latest; 0: never",
    ),
    "pause_ms": (
        int,
        "pause that ends a text segment once it is half a window long; the wanted pause shrinks to none as "
        "the window fills",
    ),
    "resets_encoder": (bool, "the encoder starts afresh with each text segment too"),
}
"""Where a source without end is cut."""

MODEL_SETTINGS: Settings = {
    "max_len": (int, "longest text segment in subwords"),
    "segment_length": (
        int,
        "fixed Emformer segment in frames of 40 ms; None: the chunk, at most the longest trained",
    ),
}
"""How far the model goes."""

SPEECH_SETTINGS: Settings = {
    "lagging_k2": (int, "subwords that the units stay behind the text"),
    "stride_n2": (int, "subwords that are turned into units at a time"),
    "unit_blank_penalty": (
        float,
        "subtracted from the logit of the unit decoder's blank: above 0, more units",
    ),
    "dur_prediction": (bool, "predict how long units last (for units without repeats)"),
    "hold_back_frames": (int, "unit frames (20 ms) of speech that wait for what follows them"),
}
"""Units and vocoder."""

ALL_SETTINGS: Settings = {**POLICY_SETTINGS, **SEGMENT_SETTINGS, **MODEL_SETTINGS, **SPEECH_SETTINGS}


def add_settings(parser: ArgumentParser, settings: Settings) -> None:
    """Add an option for each setting."""
    for name, (kind, meaning) in settings.items():
        flag = "--" + name.replace("_", "-")
        default = getattr(SessionOptions, name)
        if kind is bool:
            parser.add_argument(flag, action="store_true", default=default, help=meaning)
        else:
            parser.add_argument(flag, type=kind, default=default, help=meaning + " (default: %(default)s)")


def given_settings(args: Namespace, settings: Settings) -> dict[str, Any]:
    """What the options say about the settings, as arguments of `SessionOptions`."""
    return {name: getattr(args, name) for name in settings}
