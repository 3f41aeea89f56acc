"""The cost benchmarks at a tiny size: what they force, count, sample and report."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.cost_case import Case, interpolate, measure, speech_like_noise, spread, summary
from benchmarks.cost_plots import plot_hour, plot_real_time_factors, plot_step_times
from benchmarks.cost_tables import cost_page
from benchmarks.forced_writing import SYSTEMS, UNITS_A_SUBWORD, ForcedTranslator, longest_segment_ms
from benchmarks.one_hour import growth_bytes, listen
from benchmarks.random_models import ModelSize, random_model, random_vocoder
from benchmarks.speech_stream import french_speech, in_chunks
from benchmarks.stage_meter import REST, STAGES, StepCost, clock
from benchmarks.streaming_cost import cases, parse_arguments
from benchmarks.work_count import OperationCounter, count_operations
from echostream.inference.recompute import RecomputedState
from tests.inference.tiny_checkpoint import VOCODER_CONFIG
from tests.models.tiny_models import TINY_CONFORMER, TINY_EMFORMER

NUM_UNITS = 20
TINY = ModelSize(
    23, NUM_UNITS, "", {"echostream": TINY_EMFORMER, "streamspeech": TINY_CONFORMER}, VOCODER_CONFIG
)
INCREMENTAL = [name for name, system in SYSTEMS.items() if not system.is_recomputed]
RECOMPUTED = "streamspeech-recompute"
CHUNK_MS, CHUNK_SAMPLES = 320, 5120
WINDOW_MS = 1024  # a text segment of four chunks


@pytest.fixture(scope="module")
def translators() -> dict[str, ForcedTranslator]:
    return {
        name: ForcedTranslator(
            random_model(system.arch, TINY), random_vocoder(TINY), is_recomputed=system.is_recomputed
        )
        for name, system in SYSTEMS.items()
    }


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("chunk_ms", [160, 320, 640])
def test_all_systems_write_at_the_same_rate(
    translators: dict[str, ForcedTranslator], system: str, chunk_ms: int
) -> None:
    session = translators[system].start(chunk_ms, window_ms=WINDOW_MS)
    source = speech_like_noise(3.2)
    size = chunk_ms * 16
    outputs = [session.step(source[begin : begin + size]) for begin in range(0, source.size, size)]
    last = session.step([], is_final=True)
    assert sum(len(output.tokens) for output in outputs) == 10
    assert all(len(output.units) == UNITS_A_SUBWORD * len(output.tokens) for output in outputs)
    assert sum(output.waveform.size for output in [*outputs, last]) == 10 * CHUNK_SAMPLES
    assert last.waveform.size < CHUNK_SAMPLES
    assert (last.tokens, last.units) == ((), ())
    assert session.state.num_segments == (1 if SYSTEMS[system].is_recomputed else 3)


@pytest.mark.parametrize("system", INCREMENTAL)
def test_work_is_linear_in_every_stage(translators: dict[str, ForcedTranslator], system: str) -> None:
    segment_ms = longest_segment_ms(CHUNK_MS, WINDOW_MS)
    blocks = count_operations(
        lambda: translators[system].start(CHUNK_MS, window_ms=WINDOW_MS), CHUNK_MS, 4, segment_ms
    )
    for stage in (*STAGES, REST):
        counts = [block[stage] for block in blocks]
        assert counts[1] > 0
        assert counts[2:] == [counts[1]] * 2, stage


def test_operations_of_known_calls() -> None:
    x = torch.zeros(1, 2, 5, 8)
    linear, convolution = torch.nn.Linear(8, 3, bias=False), torch.nn.Conv1d(8, 4, 3)
    calls: list[tuple[Callable[[], object], int]] = [
        (lambda: linear(x), 10 * 8 * 3),
        (lambda: convolution(x[0].transpose(1, 2)), 2 * 3 * 4 * 8 * 3),
        (lambda: torch.nn.functional.scaled_dot_product_attention(x[:, :, :3], x, x), 2 * 2 * (3 * 5 * 8)),
        (lambda: torch.cat([x, x]), 160),
        (lambda: x[:, :1].transpose(1, 2), 0),
    ]
    for call, expected in calls:
        with torch.inference_mode(), OperationCounter() as counter:
            call()
        assert counter.num_operations == expected


def test_recomputed_work_is_seen_to_grow(translators: dict[str, ForcedTranslator]) -> None:
    blocks = count_operations(lambda: translators[RECOMPUTED].start(CHUNK_MS), CHUNK_MS, 3, 3 * CHUNK_MS)
    for stage in STAGES:
        assert blocks[2][stage] > 2 * blocks[0][stage], stage


def test_a_recomputed_session_starts_in_mid_stream(translators: dict[str, ForcedTranslator]) -> None:
    source = torch.from_numpy(speech_like_noise(6 * CHUNK_MS / 1000))
    run = translators[RECOMPUTED].start(CHUNK_MS)
    for chunk in source[: 5 * CHUNK_SAMPLES].split(CHUNK_SAMPLES):
        run.step(chunk.numpy())
    made = translators[RECOMPUTED].start_after(CHUNK_MS, source[: 5 * CHUNK_SAMPLES])
    assert isinstance(run.state.pipeline, RecomputedState)
    assert isinstance(made.state.pipeline, RecomputedState)
    assert torch.equal(made.state.pipeline.samples, run.state.pipeline.samples)
    assert made.state.pipeline.units == run.state.pipeline.units
    assert len(made.state.pipeline.tokens) == len(run.state.pipeline.tokens) == 5
    outputs = [session.step(source[5 * CHUNK_SAMPLES :].numpy()) for session in (run, made)]
    assert outputs[0].units == outputs[1].units
    assert outputs[0].waveform.size == outputs[1].waveform.size == CHUNK_SAMPLES
    assert made.heard_ms == run.heard_ms
    with pytest.raises(ValueError, match="only a recomputed session"):
        translators["echostream"].start_after(CHUNK_MS, source)


def test_costs_between_samples_are_interpolated() -> None:
    indices = list(range(1, 22, 2))
    stages = (*STAGES, REST)
    known = {
        index: StepCost(2.0 * index, 3.0 * index, dict.fromkeys(stages, float(index)))
        for index in spread(indices, 4)
    }
    assert len(known) == 4
    assert {1, 21} <= known.keys()
    costs = interpolate(known, indices)
    assert [costs[index].total for index in indices] == pytest.approx([2.0 * index for index in indices])
    assert costs[7].stages["units"] == pytest.approx(7.0)


def test_step_times_are_those_of_the_steps_that_write() -> None:
    case = Case("echostream", 120, 160)
    stages = dict.fromkeys((*STAGES, REST), 0.0)
    writing = {**stages, "text": 0.1}
    costs = []
    for index in range(case.num_chunks):
        # A text segment of an odd number of chunks: from here on the other chunks write.
        writes = (index + (index >= 301)) % 2 == 1
        seconds = float(10 * (1 + index // 375)) if writes else 1.0
        costs.append(StepCost(seconds, 0.5, writing if writes else stages))
    num_writing = [sum(cost.total == seconds for cost in costs) for seconds in (10, 20)]
    result = summary(case, [*costs, StepCost(4.0, 0.5, stages)])
    assert result["first_minute"] == {"p50_s": 10.0, "p95_s": 10.0, "p99_s": 10.0}
    assert result["p50_ratio"] == 2.0
    assert result["last_step_s"] == 4.0
    assert result["total_s"] == 750 - sum(num_writing) + 10 * num_writing[0] + 20 * num_writing[1] + 4


def test_recomputed_streams_are_sampled_when_long_and_left_out_when_longer() -> None:
    args = parse_arguments(["--output", "unused", "--seconds", "1,10,30,600", "--chunks-ms", "320"])
    runs = [(case.seconds, case.num_samples) for case in cases(args) if case.system == RECOMPUTED]
    assert runs == [(1, 0), (10, 0), (10, 16), (30, 16)]
    runs = [(case.seconds, case.num_samples) for case in cases(args) if case.system == "echostream"]
    assert runs == [(1, 0), (10, 0), (30, 0), (600, 0)]


def test_tables_and_plots(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    results: list[dict[str, Any]] = [measure(Case(name, 2, CHUNK_MS), TINY) for name in INCREMENTAL]
    for case in (
        Case(RECOMPUTED, 2, CHUNK_MS),
        Case(RECOMPUTED, 2, CHUNK_MS, 3),
        Case(RECOMPUTED, 3, CHUNK_MS, 3),
    ):
        results.append(measure(case, TINY))
    results.append({**results[0], "seconds": 600})
    torch.set_num_threads(threads)
    for result in results:
        assert sum(result["stages_s"].values()) == pytest.approx(result["total_s"])
        assert result["peak_bytes"] >= result["session_state_bytes"] > 0
    assert results[0]["encoder_state_bytes"] > 0
    assert results[2]["encoder_state_bytes"] is None
    run = {"cpu": "a", "device": "cpu", "threads": 1, "torch": "2", "date": "d", "size": "tiny"}
    page = cost_page({**run, "longest_recomputed_s": 60}, results)
    assert f"_{RECOMPUTED} at 600 s: not run." in page
    assert f"| 3 | 320 | {RECOMPUTED} | ~" in page
    check = f"| 2 | 320 | {RECOMPUTED} | {results[2]['total_s']:.2f} | {results[3]['total_s']:.2f} |"
    assert check in page
    ratio = results[2]["total_s"] / results[0]["total_s"]
    assert f"{results[0]['real_time_factor']:.2f} | {ratio:.1f}x |" in page
    assert "| p50 last / first minute, 600 s, 320 ms | 1.00 | at most 1.1 | yes |" in page
    plot_step_times(results, tmp_path / "steps.png")
    plot_real_time_factors(results, tmp_path / "factors.png")
    assert (tmp_path / "steps.png").stat().st_size > 0
    assert (tmp_path / "factors.png").stat().st_size > 0


def test_minutes_of_a_long_session(translators: dict[str, ForcedTranslator], tmp_path: Path) -> None:
    noise = speech_like_noise(60.0)
    chunks = in_chunks(iter([noise[:17000], noise[17000:]]), 2 * CHUNK_SAMPLES)
    session = translators["echostream"].start(640, waits_for_pauses=True)
    minutes = list(listen(session, chunks, 1, clock("cpu", 1)[0]))
    assert minutes[0]["heard_ms"] == 93 * 640
    assert minutes[0]["num_subwords"] == 186
    assert minutes[0]["speech_s"] == pytest.approx(186 * 0.32, abs=0.32)  # the last frames may be held back
    assert minutes[0]["state_bytes"] > 0
    later = {**minutes[0], "minute": 2, "resident_bytes": minutes[0]["resident_bytes"] + 7}
    assert growth_bytes([minutes[0], later, minutes[0]]) == 7
    plot_hour([minutes[0], later], tmp_path / "hour.png")
    assert (tmp_path / "hour.png").stat().st_size > 0


def test_speech_is_the_same_each_time() -> None:
    first, second = (np.concatenate(list(islice(french_speech(2), 3))) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.size > 16000
    assert np.abs(first).max() > 0.05
