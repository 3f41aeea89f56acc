"""Stream states: reset, copies, memory, and the parts that other modules build on."""

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.streaming import KVCache, SegmentBuffer, StreamFinishedError, StreamState


@dataclass
class Leaf(StreamState):
    history: Tensor
    num_seen: int = 3


@dataclass
class Tree(StreamState):
    leaf: Leaf
    leaves: list[Leaf]
    counts: list[int] = field(default_factory=lambda: [1, 2])
    is_warm: bool = True


@dataclass
class Unresettable(StreamState):
    num_seen: int


def make_tree() -> Tree:
    return Tree(Leaf(torch.zeros(2, 3)), [Leaf(torch.zeros(2, 1)), Leaf(torch.zeros(2, 2))])


def use(tree: Tree) -> None:
    tree.begin_step(is_final=True)
    tree.leaves[1].begin_step(is_final=True)
    tree.leaf.history = tree.leaf.history + 1
    tree.leaves[1].history = tree.leaves[1].history + 2
    tree.leaves[1].num_seen = 9
    tree.counts.append(7)
    tree.is_warm = False


def assert_fresh(tree: Tree) -> None:
    assert not tree.finished
    assert not tree.leaves[1].finished
    assert not tree.leaf.history.any()
    assert not tree.leaves[1].history.any()
    assert tree.leaves[1].num_seen == 3
    assert tree.counts == [1, 2]
    assert tree.is_warm


def test_reset_reaches_every_part() -> None:
    tree = make_tree()
    use(tree)
    tree.reset()
    assert_fresh(tree)


def test_a_clone_is_independent_in_both_directions() -> None:
    tree = make_tree()
    clone = tree.clone()
    use(tree)
    assert_fresh(clone)
    used = tree.clone()
    tree.reset()
    assert used.finished
    assert used.counts == [1, 2, 7]
    assert used.leaves[1].num_seen == 9
    assert torch.equal(used.leaves[1].history, torch.full((2, 2), 2.0))


def test_to_converts_floating_point_tensors_only() -> None:
    cache = KVCache.create(2, 1, 3, 4)
    converted = cache.to(dtype=torch.float64)
    assert converted.keys.dtype == converted.values.dtype == torch.float64
    assert converted.num_valid.dtype == torch.int64
    assert cache.keys.dtype == torch.float32
    assert cache.to(device="meta").keys.device.type == "meta"


def test_num_bytes_counts_whole_storages_once() -> None:
    tree = make_tree()
    assert tree.num_bytes == 4 * (6 + 2 + 4)
    large = torch.zeros(2, 1000)
    tree.leaf.history = large[:, :3]
    tree.leaves[0].history = large[:, 3:4]
    assert tree.num_bytes == 4 * (2000 + 4)


def test_a_finished_state_says_what_to_do() -> None:
    leaf = Leaf(torch.zeros(1))
    leaf.begin_step(is_final=False)
    leaf.begin_step(is_final=True)
    with pytest.raises(StreamFinishedError, match=r"Leaf: .* call reset\(\)"):
        leaf.begin_step(is_final=False)


def test_a_field_without_default_cannot_be_reset() -> None:
    with pytest.raises(TypeError, match=r"Unresettable\.num_seen needs a default"):
        Unresettable(5).reset()


def test_a_field_of_another_type_is_refused() -> None:
    leaf = Leaf(torch.zeros(1))
    leaf.num_seen = "many"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="not str"):
        leaf.clone()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(capacity=st.integers(0, 6), steps=st.lists(st.integers(0, 9), max_size=8))
def test_a_cache_holds_the_newest_positions(capacity: int, steps: list[int]) -> None:
    cache = KVCache.create(1, 1, capacity, 1)
    seen = torch.arange(1.0, sum(steps) + 1).view(1, 1, -1, 1)
    num_bytes = cache.num_bytes
    for keys in seen.split(steps, dim=2) if steps else ():
        cache.append(keys, -keys)
        assert cache.num_bytes == num_bytes
    num_valid = min(capacity, sum(steps))
    assert cache.capacity == capacity
    assert cache.num_valid.tolist() == [num_valid]
    assert cache.valid_mask().tolist() == [[False] * (capacity - num_valid) + [True] * num_valid]
    expected = seen[0, 0, sum(steps) - num_valid :, 0]
    assert torch.equal(cache.keys[0, 0, capacity - num_valid :, 0], expected)
    assert torch.equal(cache.values[0, 0, capacity - num_valid :, 0], -expected)


def test_streams_of_one_cache_may_have_different_histories() -> None:
    cache = KVCache.create(2, 1, 3, 1)
    cache.num_valid = torch.tensor([0, 2])
    cache.append(torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1, 1))
    assert cache.valid_mask().tolist() == [[False, False, True], [True, True, True]]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    deliveries=st.lists(st.tuples(st.integers(0, 7), st.integers(1, 5)), max_size=8),
    right_context_length=st.integers(0, 4),
)
def test_segments_follow_arrival_and_not_delivery(
    deliveries: list[tuple[int, int]], right_context_length: int
) -> None:
    """The segment of each frame is decided frame by frame; whole deliveries must come to the same."""
    frames = torch.arange(float(sum(length for length, _ in deliveries))).view(1, -1, 1)
    results = []
    for one_by_one in (False, True):
        buffer = SegmentBuffer.create(1, 1)
        segments, start = [], 0
        for num_frames, segment_length in deliveries:
            delivery = frames[:, start : start + num_frames]
            for piece in delivery.split(1, dim=1) if one_by_one and num_frames else (delivery,):
                segments += buffer.push(
                    piece, segment_length=segment_length, right_context_length=right_context_length
                )
                longest = max(length for _, length in deliveries)
                assert buffer.frames.size(1) < longest + right_context_length
            start += num_frames
        assert all(right.size(1) == right_context_length for _, right in segments)
        segments += buffer.push(
            frames[:, :0], segment_length=1, right_context_length=right_context_length, is_final=True
        )
        results.append(
            [(segment.flatten().tolist(), right.flatten().tolist()) for segment, right in segments]
        )
    assert results[0] == results[1]
    assert [value for segment, _ in results[0] for value in segment] == frames.flatten().tolist()
    for segment, right in results[0]:
        after = int(segment[-1]) + 1
        assert right == frames.flatten().tolist()[after : after + right_context_length]
