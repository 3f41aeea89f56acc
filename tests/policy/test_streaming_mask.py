"""g(i) against a plain loop, and training mask against the agent's policy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.policy.ctc_alignment import greedy_new_tokens
from echostream.policy.read_write import Action, CTCPolicy, PolicyState
from echostream.policy.streaming_mask import hidden_from, visible_frames, visible_text


def visible_by_loop(
    source: list[float], target: list[float], i: int, lag: int, stride: int, chunk: int, lead_in: int
) -> int:
    length = len(source)
    chunk_ends = [end for end in range(chunk - lead_in, length, chunk) if end > 0] + [length]
    required = min(max((i // stride + 1) * stride + lag, 1), length)
    total = 0.0
    for frame in range(length):
        total += target[frame]
        if (total >= required and round(source[frame]) == 1) or frame == length - 1:
            return next(end for end in chunk_ends if end > frame)
    raise AssertionError("the last frame always counts")


# Multiples of 1/4 are summed exactly.
masses = st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 0.75, 1.0])] * 2), min_size=1, max_size=24)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(masses, min_size=1, max_size=3),
    *(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(0, 3)),
)
def test_against_a_plain_loop_with_padded_rows(
    rows: list[list[tuple[float, float]]], lag: int, stride: int, chunk: int, lead_in: int
) -> None:
    longest = max(len(row) for row in rows)
    padded = torch.ones(len(rows), longest, 2)  # padding that would count if lengths were ignored
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row)
    visible = visible_frames(
        padded[..., 0],
        padded[..., 1],
        7,
        lagging_k=lag,
        stride_n=stride,
        chunk_size=chunk,
        lead_in_length=lead_in,
        lengths=torch.tensor([len(row) for row in rows]),
    )
    for index, row in enumerate(rows):
        source, target = [list(values) for values in zip(*row, strict=True)]
        expected = [visible_by_loop(source, target, i, lag, stride, chunk, lead_in) for i in range(7)]
        assert visible[index].tolist() == expected


def test_offline_encoder_shows_each_row_whole() -> None:
    mass = torch.ones(2, 6)
    visible = visible_frames(
        mass, mass, 3, lagging_k=0, stride_n=1, chunk_size=None, lengths=torch.tensor([6, 4])
    )
    assert visible.tolist() == [[6, 6, 6], [4, 4, 4]]


def policy_counts(source_new: Tensor, target_new: Tensor, policy: CTCPolicy, chunk: int) -> list[int]:
    """Target subwords written after each whole chunk, when the agent sees one chunk after the other."""
    state = PolicyState()
    counts = []
    for end in range(chunk, source_new.numel(), chunk):
        source_tokens, target_tokens = int(source_new[:end].sum()), int(target_new[:end].sum())
        decision = policy.decide(state, source_tokens, target_tokens)
        if decision.action is Action.WRITE:
            assert decision.max_subwords is not None
            state = policy.after_write(state, source_tokens, target_tokens, decision.max_subwords)
        counts.append(state.written_subwords)
    return counts


def mask_counts(source_new: Tensor, target_new: Tensor, policy: CTCPolicy, chunk: int) -> list[int]:
    """Target subwords that the training mask lets see no more than the frames of each whole chunk."""
    visible = visible_frames(
        source_new.unsqueeze(0).float(),
        target_new.unsqueeze(0).float(),
        2 * source_new.numel(),
        lagging_k=policy.lagging_k,
        stride_n=policy.stride_n,
        chunk_size=chunk,
    )[0]
    return [int((visible <= end).sum()) for end in range(chunk, source_new.numel(), chunk)]


# Blank is 0; the source emits a token in every frame, so that only the target decides.
target_paths = st.lists(st.integers(0, 3), min_size=12, max_size=48)


@settings(max_examples=80, deadline=None)
@given(target_paths, st.integers(0, 3), st.integers(1, 3))
def test_mask_and_policy_agree_frame_by_frame(path: list[int], lag: int, stride: int) -> None:
    target_new = greedy_new_tokens(torch.tensor([path]))[0]
    source_new = torch.ones_like(target_new)
    policy = CTCPolicy(lag, stride)
    assert mask_counts(source_new, target_new, policy, 1) == policy_counts(source_new, target_new, policy, 1)


@settings(max_examples=80, deadline=None)
@given(target_paths, st.integers(0, 3), st.integers(2, 8))
def test_mask_and_policy_agree_chunk_by_chunk(path: list[int], lag: int, chunk: int) -> None:
    target_new = greedy_new_tokens(torch.tensor([path]))[0]
    source_new = torch.ones_like(target_new)
    policy = CTCPolicy(lag, 1)
    assert mask_counts(source_new, target_new, policy, chunk) == policy_counts(
        source_new, target_new, policy, chunk
    )


@settings(max_examples=80, deadline=None)
@given(target_paths, st.integers(0, 3), st.integers(2, 3), st.integers(2, 8))
def test_with_strides_and_chunks_the_policy_never_runs_ahead_of_the_mask(
    path: list[int], lag: int, stride: int, chunk: int
) -> None:
    target_new = greedy_new_tokens(torch.tensor([path]))[0]
    source_new = torch.ones_like(target_new)
    policy = CTCPolicy(lag, stride)
    by_mask = mask_counts(source_new, target_new, policy, chunk)
    by_policy = policy_counts(source_new, target_new, policy, chunk)
    previous = 0
    for mask_count, policy_count in zip(by_mask, by_policy, strict=True):
        assert policy_count <= mask_count
        if policy_count > previous:
            assert policy_count == mask_count  # whenever it writes, it writes all that the mask allows
        previous = policy_count


def test_unit_positions_see_their_stride_of_text() -> None:
    visible = visible_text(10, 5, lagging_k=1, stride_n=2, upsample_rate=2)
    assert visible.tolist() == [3, 3, 3, 3, 5, 5, 5, 5, 5, 5]
    assert visible_text(4, 2, lagging_k=-5, stride_n=1, upsample_rate=2).tolist() == [1, 1, 1, 1]


def test_hidden_from() -> None:
    assert hidden_from(torch.tensor([[1, 3]]), 3).tolist() == [[[False, True, True], [False, False, False]]]


def test_impossible_settings() -> None:
    mass = torch.ones(1, 4)
    with pytest.raises(ValueError, match="n1"):
        visible_frames(mass, mass, 2, lagging_k=0, stride_n=0, chunk_size=2)
    with pytest.raises(ValueError, match="chunk"):
        visible_frames(mass, mass, 2, lagging_k=0, stride_n=1, chunk_size=0)
    with pytest.raises(ValueError, match="n2"):
        visible_text(4, 2, lagging_k=0, stride_n=0, upsample_rate=2)
    with pytest.raises(ValueError, match="upsample"):
        visible_text(4, 2, lagging_k=0, stride_n=1, upsample_rate=0)
