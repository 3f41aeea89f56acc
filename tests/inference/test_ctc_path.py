"""The collapsed greedy path: any delivery, tentative frames, and text segments."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from echostream.inference.ctc_path import CTCPath
from echostream.policy.ctc_alignment import collapse

labels = st.lists(st.integers(0, 3), max_size=30)


@given(labels, st.lists(st.integers(0, 8), max_size=8), labels)
def test_any_delivery_gives_the_collapsed_path(
    path: list[int], sizes: list[int], tentative: list[int]
) -> None:
    actual = CTCPath()
    begin = 0
    for size in sizes:
        actual.push(torch.tensor(path[begin : begin + size]), torch.tensor(tentative))
        seen = [*path[: begin + size], *tentative]
        assert actual.tokens == collapse(torch.tensor(seen)).tolist()
        begin += size
    actual.push(torch.tensor(path[begin:]))
    assert actual.tokens == collapse(torch.tensor(path)).tolist()
    assert actual.num_final_tokens == len(actual.tokens)
    assert [path[frame] for frame in actual.frames] == actual.tokens
    assert all(frame == 0 or path[frame - 1] != path[frame] for frame in actual.frames)
    trailing = 0
    while trailing < len(path) and path[-1 - trailing] == 0:
        trailing += 1
    assert actual.num_blank_frames == trailing


def test_a_label_that_goes_on_over_a_cut_is_not_emitted_again() -> None:
    path = CTCPath()
    path.push(torch.tensor([0, 5, 5]), torch.tensor([7]))
    assert (path.tokens, path.num_final_tokens) == ([5, 7], 1)
    path.start_segment()
    assert path.tokens == []
    path.push(torch.tensor([5, 0, 6, 0]))
    assert (path.tokens, path.frames, path.num_blank_frames) == ([6], [5], 1)
