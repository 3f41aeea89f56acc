"""The training mask's g(i) and the decisions of streaming are the same, on CTC outputs of any kind."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echostream.inference.ctc_path import CTCPath
from echostream.policy.ctc_alignment import confirmed_tokens, greedy_new_tokens
from echostream.policy.read_write import Action, CTCPolicy, PolicyState
from echostream.policy.streaming_mask import visible_frames

RECORDED = json.loads((Path(__file__).parents[1] / "data/ctc_paths.json").read_text(encoding="utf-8"))


def written_after_each_chunk(asr: list[int], st_path: list[int], policy: CTCPolicy, chunk: int) -> list[int]:
    """Subwords written after each whole chunk by a stream that sees one chunk after the other."""
    source, target = CTCPath(), CTCPath()
    state, counts = PolicyState(), []
    for begin in range(0, len(asr) - chunk, chunk):
        source.push(torch.tensor(asr[begin : begin + chunk]))
        target.push(torch.tensor(st_path[begin : begin + chunk]))
        confirmed = confirmed_tokens(source.frames, target.frames)
        decision = policy.decide(state, len(source.tokens), confirmed)
        if decision.action is Action.WRITE:
            assert decision.max_subwords is not None
            state = policy.after_write(state, len(source.tokens), confirmed, decision.max_subwords)
        counts.append(state.written_subwords)
    return counts


def visible_after_each_chunk(asr: list[int], st_path: list[int], policy: CTCPolicy, chunk: int) -> list[int]:
    """Subwords that training lets see no more than the frames of each whole chunk."""
    source, target = (greedy_new_tokens(torch.tensor([path])).float() for path in (asr, st_path))
    visible = visible_frames(
        source, target, 2 * len(asr), lagging_k=policy.lagging_k, stride_n=policy.stride_n, chunk_size=chunk
    )[0]
    return [int((visible <= end).sum()) for end in range(chunk, len(asr), chunk)]


def check(asr: list[int], st_path: list[int], policy: CTCPolicy, chunk: int) -> None:
    by_policy = written_after_each_chunk(asr, st_path, policy, chunk)
    by_mask = visible_after_each_chunk(asr, st_path, policy, chunk)
    if policy.stride_n == 1:
        assert by_policy == by_mask
        return
    # With a stride, growth is counted from the last write: a write may come later, but never too early.
    previous = 0
    for policy_count, mask_count in zip(by_policy, by_mask, strict=True):
        assert policy_count <= mask_count
        assert policy_count in (previous, mask_count)
        previous = policy_count


@pytest.mark.parametrize("utterance", range(len(RECORDED)))
@pytest.mark.parametrize("chunk", [4, 8, 16])
def test_on_recorded_outputs_of_a_trained_model(utterance: int, chunk: int) -> None:
    paths = RECORDED[utterance]
    assert len(paths["asr"]) > 2 * chunk
    for lag in range(5):
        for stride in (1, 2, 3):
            check(paths["asr"], paths["st"], CTCPolicy(lag, stride), chunk)
    assert written_after_each_chunk(paths["asr"], paths["st"], CTCPolicy(), chunk)[-1] > 0


path_pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60)


@settings(max_examples=150, deadline=None)
@given(path_pairs, st.integers(0, 3), st.integers(1, 3), st.integers(1, 9))
def test_on_any_outputs(pairs: list[tuple[int, int]], lag: int, stride: int, chunk: int) -> None:
    check([asr for asr, _ in pairs], [target for _, target in pairs], CTCPolicy(lag, stride), chunk)


def test_only_what_a_source_token_confirms_counts() -> None:
    assert confirmed_tokens([], [0, 1]) == 0
    assert confirmed_tokens([4], [0, 4, 5]) == 2
    assert confirmed_tokens([4, 9], [0, 4, 5]) == 3
    assert confirmed_tokens([2], []) == 0
