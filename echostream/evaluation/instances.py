"""One utterance: what is measured and logged while it is heard, and what is dropped afterwards."""

import json
import time
from pathlib import Path
from typing import Any

from simuleval.data.segments import Segment
from simuleval.evaluator.instance import (
    Instance,
    SpeechInputInstance,
    SpeechOutputInstance,
    SpeechToSpeechInstance,
    SpeechToTextInstance,
)

from echostream.evaluation.source_audio import SourceAudio


class MeasuredInstance(Instance):
    """Adds up the time from each delivery of source to the system's answer, and logs it (`processing_ms`).

    `elapsed`, which SimulEval logs, ends with the last output, and includes SimulEval's own work.
    """

    def reset(self) -> None:
        """Start afresh."""
        super().reset()
        self.processing_ms = 0.0
        self._sent_s: float | None = None

    def send_source(self, *args: Any) -> Segment:
        """Deliver the next part of the source."""
        segment = super().send_source(*args)
        self._sent_s = time.perf_counter()
        return segment

    def receive_prediction(self, prediction: Segment) -> None:
        """Take the system's answer."""
        if self._sent_s is not None:
            self.processing_ms += 1000 * (time.perf_counter() - self._sent_s)
            self._sent_s = None
        super().receive_prediction(prediction)

    def summarize(self) -> dict[str, Any]:
        """The log entry."""
        return {**super().summarize(), "processing_ms": round(self.processing_ms, 3)}


class HeardInstance(SpeechInputInstance):
    """A source of speech that is read when the utterance begins, and dropped when all of it was heard."""

    def send_source(self, segment_size: int = 10) -> Segment:
        """Deliver the next part of the source; reading the file is not part of the system's time."""
        if isinstance(self.source, SourceAudio) and self.step == 0:
            self.source.load()
        segment = super().send_source(segment_size)
        if isinstance(self.source, SourceAudio) and self.source_finished_reading:
            self.source.release()
        return segment


class MeasuredSpeechToTextInstance(MeasuredInstance, HeardInstance, SpeechToTextInstance):
    """Text from speech."""


class RepairedSpeechOutputInstance(MeasuredInstance, SpeechOutputInstance):
    """SimulEval's speech output whose log entry keeps `elapsed` and the silences.

    For: SimulEval 1.1.4. Symptom: `elapsed` is logged as an empty list, so `--computation-aware` fails;
    silences are not logged, so the Discontinuity metrics fail; the samples of all output stay in memory.
    """

    def reset(self) -> None:
        """Start afresh."""
        super().reset()
        self._entry: dict[str, Any] | None = None

    def summarize(self) -> dict[str, Any]:
        """The log entry; the wav file is written too, and dropped from memory once the source is over."""
        if self._entry is None:
            entry = {**super().summarize(), "elapsed": self.elapsed, "silences": self.silences}
            if not self.source_finished_reading:
                return entry
            self._entry = entry
            self.prediction_list.clear()
        return self._entry


class RepairedSpeechToSpeechInstance(RepairedSpeechOutputInstance, HeardInstance, SpeechToSpeechInstance):
    """Speech from speech, with this output."""


class SpeechLogInstance(SpeechOutputInstance):
    """A speech instance read back from the log, which the metrics recognise as speech.

    For: SimulEval 1.1.4. Symptom: entries are read back as text, and ATD, RTF and Discontinuity go wrong.

    Args:
        line: a line of instances.log.
        latency_unit: unit of the reference's length.
    """

    def __init__(self, line: str, latency_unit: str = "word") -> None:
        info = json.loads(line)
        self.index = info["index"]
        self.reference = info.get("reference") or ""
        self.delays = info["delays"]
        self.elapsed = info.get("elapsed", [])
        self.durations = info["durations"]
        self.intervals = info["intervals"]
        self.silences = info.get("silences", [])
        self.processing_ms = info.get("processing_ms")
        self.source = info.get("source")
        self.latency_unit = latency_unit
        self.finish_prediction = True
        self.target_spm_model = None
        self.metrics: dict[str, float] = {}
        self._prediction = info["prediction"]
        self._prediction_length = info["prediction_length"]
        self._source_length = info["source_length"]

    @property
    def prediction(self) -> Path:
        """The wav file."""
        return Path(self._prediction)

    @property
    def prediction_length(self) -> float:
        """Seconds of output."""
        return float(self._prediction_length)

    @property
    def source_length(self) -> float:
        """Milliseconds of input."""
        return float(self._source_length)

    def summarize(self) -> dict[str, Any]:
        """Not for instances from a log, which is what they come from."""
        raise NotImplementedError("an instance that was read from a log is not written again")


def is_speech_log(line: str) -> bool:
    """Whether a line of instances.log is of speech output."""
    return "durations" in json.loads(line)


def is_speech(instance: Instance) -> bool:
    """Whether an instance has speech output."""
    return isinstance(instance, SpeechOutputInstance)
