"""Latency metrics of speech output that tell ideal and computation-aware times apart, and processing time.

For: SimulEval 1.1.4. Symptom: EndOffset, RTF and Discontinuity use ideal times even where they are reported
as computation-aware. Without `--computation-aware` the figures are those of SimulEval's own formulas.
"""

from collections.abc import Mapping

from simuleval.evaluator.instance import Instance
from simuleval.evaluator.scorers.latency_scorer import (
    DiscontinuityAveScorer,
    DiscontinuityNumScorer,
    DiscontinuitySumScorer,
    EndOffsetScorer,
    LatencyScorer,
    RTFScorer,
    register_latency_scorer,
)

from echostream.evaluation.instances import is_speech
from echostream.evaluation.playback import Playback, play


def playback_of(scorer: LatencyScorer, instance: Instance) -> Playback:
    """The instance's timeline in the scorer's sense of time.

    Raises:
        ValueError: for text output, which is not played.
    """
    if not is_speech(instance):
        raise ValueError(f"{scorer.metric_name} is a metric of speech output; this system writes text")
    return play(getattr(instance, scorer.timestamp_type), instance.durations)


@register_latency_scorer("EndOffset")
class RepairedEndOffsetScorer(EndOffsetScorer):
    """When the output ends, after the end of the source (ms)."""

    def compute(self, ins: Instance) -> float:
        """The score of one utterance."""
        if not is_speech(ins):
            return float(super().compute(ins))
        return playback_of(self, ins).end_ms - float(ins.source_length)


@register_latency_scorer("RTF")
class RepairedRTFScorer(RTFScorer):
    """When the output ends, in lengths of the source; `ProcessingRTF` is how long the computation takes."""

    def compute(self, ins: Instance) -> float:
        """The score of one utterance."""
        if not is_speech(ins):
            return float(super().compute(ins))
        return playback_of(self, ins).end_ms / float(ins.source_length)


@register_latency_scorer("DiscontinuitySum")
class RepairedDiscontinuitySumScorer(DiscontinuitySumScorer):
    """Total of the pauses inside the output (ms)."""

    def compute(self, ins: Instance) -> float:
        """The score of one utterance."""
        return float(sum(playback_of(self, ins).silences))


@register_latency_scorer("DiscontinuityAve")
class RepairedDiscontinuityAveScorer(DiscontinuityAveScorer):
    """Mean pause inside the output (ms); 0 without pauses."""

    def compute(self, ins: Instance) -> float:
        """The score of one utterance."""
        silences = playback_of(self, ins).silences
        return sum(silences) / len(silences) if silences else 0.0


@register_latency_scorer("DiscontinuityNum")
class RepairedDiscontinuityNumScorer(DiscontinuityNumScorer):
    """Number of pauses inside the output."""

    def compute(self, ins: Instance) -> int:
        """The score of one utterance."""
        return len(playback_of(self, ins).silences)


@register_latency_scorer("ProcessingRTF")
class ProcessingRTFScorer(LatencyScorer):
    """The true real-time factor: time that the system computed, in lengths of the source.

    The corpus score is total time by total length. It is never ideal, so there is no ProcessingRTF_CA.
    """

    is_always_aware = True

    @property
    def metric_name(self) -> str:
        """The same with and without `--computation-aware`."""
        return "ProcessingRTF"

    def compute(self, ins: Instance) -> float:
        """The score of one utterance.

        Raises:
            ValueError: for a log without processing times.
        """
        return _processing_ms(ins) / float(ins.source_length)

    def __call__(self, instances: Mapping[int, Instance]) -> float:
        """The corpus score; utterances without output count too."""
        heard = [instance for instance in instances.values() if instance.source_length > 0]
        if not heard:
            raise ValueError(f"{self.metric_name} cannot be computed: no utterance has a source")
        for instance in heard:
            instance.metrics[self.metric_name] = self.compute(instance)
        return sum(map(_processing_ms, heard)) / sum(float(instance.source_length) for instance in heard)


def _processing_ms(instance: Instance) -> float:
    time_ms = getattr(instance, "processing_ms", None)
    if time_ms is None:
        raise ValueError(
            f"instance {instance.index}: the log has no processing_ms, which EchoStream's repairs write: run "
            "the evaluation again, or leave ProcessingRTF out of --latency-metrics"
        )
    return float(time_ms)
