"""Driving sessions in tests, and what they said in all."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from echostream.data.audio import Samples
from echostream.inference.outputs import StepOutput
from echostream.inference.session import Session


def run(session: Session, signal: npt.NDArray[Any], sizes: Iterable[int] = ()) -> list[StepOutput]:
    """Deliver the signal in steps of these sizes, and the rest in a final one."""
    outputs, begin = [], 0
    for size in sizes:
        outputs.append(session.step(signal[begin : begin + size]))
        begin += size
    outputs.append(session.step(signal[begin:], is_final=True))
    return outputs


def steps_of(size: int, signal: npt.NDArray[Any]) -> list[int]:
    """Equal steps, all but the last."""
    return [size] * (signal.shape[0] // size)


def said(outputs: list[StepOutput]) -> tuple[str, str, tuple[int, ...], tuple[int, ...]]:
    """Transcription, translation, subwords and units of a stream."""
    return (
        " ".join(word.text for output in outputs for word in output.source_words),
        " ".join(word.text for output in outputs for word in output.target_words),
        tuple(token for output in outputs for token in output.tokens),
        tuple(unit for output in outputs for unit in output.units),
    )


def heard(outputs: list[StepOutput]) -> Samples:
    """The speech of a stream."""
    return np.concatenate([output.waveform for output in outputs])
