"""Speech output of one utterance, with all that the latency metrics need in the log."""

import json
from pathlib import Path
from typing import Any

from simuleval.evaluator.instance import Instance, SpeechOutputInstance, SpeechToSpeechInstance


class RepairedSpeechOutputInstance(SpeechOutputInstance):
    """SimulEval's speech output whose log entry keeps `elapsed` and the silences.

    For: SimulEval 1.1.4. Symptom: `elapsed` is logged as an empty list, so `--computation-aware` fails;
    silences are not logged, so the Discontinuity metrics fail.
    """

    def summarize(self) -> dict[str, Any]:
        """The log entry; the wav file is written too."""
        info: dict[str, Any] = super().summarize()
        return {**info, "elapsed": self.elapsed, "silences": self.silences}


class RepairedSpeechToSpeechInstance(RepairedSpeechOutputInstance, SpeechToSpeechInstance):
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
