"""The growing history of attention keys and values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.streaming import KVHistory
from echostream.streaming.kv_history import INITIAL_CAPACITY
from tests.streaming_contract import WorkMeter


def make_history(batch_size: int = 2) -> KVHistory:
    return KVHistory.create(batch_size, 3, 4, dtype=torch.float64)


def positions(num_new: int, batch_size: int = 2) -> tuple[Tensor, Tensor]:
    shape = (batch_size, 3, num_new, 4)
    return torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12))
def test_it_holds_what_was_appended_and_not_cut_off(steps: list[tuple[int, int]]) -> None:
    history = make_history()
    keys, values = positions(0)
    for num_new, num_dropped in steps:
        new_keys, new_values = positions(num_new)
        history.append(new_keys, new_values)
        keep = max(history.length - num_dropped, 0)
        history.truncate(keep)
        keys = torch.cat([keys, new_keys], dim=2)[:, :, :keep]
        values = torch.cat([values, new_values], dim=2)[:, :, :keep]
        assert history.length == keep
        assert torch.equal(history.keys, keys)
        assert torch.equal(history.values, values)


def test_one_at_a_time_copies_a_bounded_number_of_times() -> None:
    written = []
    for num_positions in (1000, 2000, 4000):
        history, new = make_history(), positions(1)
        with WorkMeter() as meter:
            for _ in range(num_positions):
                history.append(*new)
        written.append(meter.num_elements / num_positions)
    assert max(written) <= 1.2 * written[0]


def test_memory_is_at_most_doubled_and_given_back() -> None:
    history = make_history()
    fresh, per_position = history.num_bytes, 2 * 2 * 3 * 4 * 8
    assert fresh == INITIAL_CAPACITY * per_position
    for length in range(1, 200):
        history.append(*positions(1))
        assert per_position * length <= history.num_bytes <= max(fresh, 2 * per_position * length)
    history.append(*positions(1000))
    assert history.num_bytes == 1199 * per_position
    history.begin_step(is_final=True)
    history.reset()
    assert (history.num_bytes, history.length, history.finished) == (fresh, 0, False)
    assert not history.key_buffer.any()
    assert not history.value_buffer.any()


def test_a_clone_goes_its_own_way() -> None:
    history = make_history()
    history.append(*positions(5))
    clone, moved = history.clone(), history.to(dtype=torch.float32)
    expected = history.keys.clone()
    history.truncate(2)
    history.append(*positions(3))
    assert torch.equal(clone.keys, expected)
    assert moved.keys.dtype == torch.float32
    assert torch.equal(moved.keys, expected.float())
    clone.append(*positions(1))
    assert (history.length, clone.length, moved.length) == (5, 6, 5)


@pytest.mark.parametrize("inside_first", [True, False])
def test_calls_inside_and_outside_of_inference_mode_may_alternate(inside_first: bool) -> None:
    new = [positions(20) for _ in range(6)]
    history = make_history()
    for index, pair in enumerate(new):
        with torch.inference_mode((index % 2 == 0) == inside_first), torch.no_grad():
            history.append(*pair)
    assert torch.equal(history.keys, torch.cat([keys for keys, _ in new], dim=2))


def test_wrong_sizes_and_lengths_are_refused() -> None:
    history = make_history()
    keys, values = positions(2)
    for pair in ((keys[:1], values[:1]), (keys, values[:, :, :1]), (keys[..., :3], values[..., :3])):
        with pytest.raises(ValueError, match=r"\[2, 3, n, 4\]"):
            history.append(*pair)
    history.append(keys, values)
    for length in (-1, 3):
        with pytest.raises(ValueError, match="2 positions cannot be cut"):
            history.truncate(length)
    assert history.length == 2
