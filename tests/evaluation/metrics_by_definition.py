"""The latency metrics written out again from their definitions, for one utterance of speech output."""

from collections.abc import Sequence


def lagging(times: Sequence[float], source_ms: float, rate: float) -> float:
    """AL and LAAL: mean lag behind `rate` items a ms, up to the first item after the source."""
    lags = []
    for index, time in enumerate(times):
        lags.append(time - index / rate)
        if time >= source_ms:
            break
    return sum(lags) / len(lags)


def differentiable_lagging(times: Sequence[float], source_ms: float) -> float:
    """DAL: as AL, where an item costs at least its share of the source."""
    rate = len(times) / source_ms
    total, previous = 0.0, -float("inf")
    for index, time in enumerate(times):
        previous = max(time, previous + 1 / rate)
        total += previous - index / rate
    return total / len(times)


def play(times: Sequence[float], durations: Sequence[float]) -> tuple[list[float], float]:
    """Pauses and end of the playback."""
    pauses, end = [], times[0]
    for time, duration in zip(times, durations, strict=True):
        if time > end:
            pauses.append(time - end)
        end = max(time, end) + duration
    return pauses, end


def average_token_delay(
    delays: Sequence[float], elapsed: Sequence[float] | None, durations: Sequence[float], token_ms: int = 300
) -> float:
    """ATD for speech to speech (Kano et al. 2022), one write a chunk; with `elapsed` computation-aware."""

    def split(length: float) -> list[float]:
        parts = [float(token_ms)] * int(length // token_ms)
        return parts + ([length % token_ms] if length % token_ms else [])

    source_ends: list[float] = []
    source_counts: list[int] = []
    target_ends: list[float] = []
    target_counts: list[int] = []
    source_time = target_time = previous_delay = previous_work = 0.0
    for index, delay in enumerate(delays):
        for length in split(delay - previous_delay):
            source_time += length
            source_ends.append(source_time)
        work = elapsed[index] - delay if elapsed is not None else 0.0
        tokens = split(durations[index])
        for length in tokens:
            target_time = max(delay, target_time) + length + (work - previous_work) / len(tokens)
            target_ends.append(target_time)
        source_counts.append(len(source_ends))
        target_counts.append(len(tokens))
        previous_delay, previous_work = delay, work
    total, token = 0.0, 0
    for chunk, count in enumerate(target_counts):
        sources_before = source_counts[chunk - 1] if chunk else 0
        ahead = max(0, sum(target_counts[:chunk]) - sources_before)
        for _ in range(count):
            token += 1
            match = min(token - ahead, source_counts[chunk])
            total += target_ends[token - 1] - (source_ends[match - 1] if match else 0.0)
    return total / token
