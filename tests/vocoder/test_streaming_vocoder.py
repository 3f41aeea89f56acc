"""Streaming synthesis beyond the contract: provisional borders, durations, blocks of frames, long writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.generator import MAX_WRITTEN_FRAMES, CodeGenerator
from echostream.vocoder.receptive_field import generator_receptive_field
from echostream.vocoder.streaming_synthesis import VocoderState
from tests.streaming_contract import TOLERANCE
from tests.vocoder.small_vocoder import SMALL, public_config, random_state, save, without

OTHER_SHAPES: list[dict[str, Any]] = [
    {},
    {"resblock_kernel_sizes": [7, 3]},
    {"upsample_rates": [8, 5], "upsample_kernel_sizes": [16, 11]},
    {"upsample_rates": [2, 2, 10], "upsample_kernel_sizes": [2, 6, 20]},
    {"resblock_kernel_sizes": [1, 3], "resblock_dilation_sizes": [[1, 1, 1], [5, 2, 1]]},
]
# Pieces: how many units arrive, and how many frames are held back then.
Pieces = Sequence[tuple[int, int]]


def make_generator(config: dict[str, Any], dtype: torch.dtype = torch.float64) -> CodeGenerator:
    generator = CodeGenerator(GeneratorConfig.from_dict(config))
    generator.load_state_dict(random_state(config))
    generator.remove_weight_norm()
    return generator.to(dtype).eval()


@pytest.fixture(scope="module")
def generator() -> CodeGenerator:
    return make_generator(SMALL)


@pytest.fixture
def vocoder(tmp_path: Path) -> CodeHiFiGANVocoder:
    return CodeHiFiGANVocoder(save(random_state(SMALL), tmp_path / "g"), SMALL)


def random_units(num_units: int, num_embeddings: int = 30, seed: int = 5) -> Tensor:
    return torch.randint(num_embeddings, (1, num_units), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def stream(
    generator: CodeGenerator,
    units: Tensor,
    pieces: Pieces,
    state: VocoderState | None = None,
    *,
    close: bool = True,
    dur_prediction: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Stream units in pieces, and close the stream with nothing; the samples and durations of each call."""
    state = generator.init_state() if state is None else state
    assert sum(num_units for num_units, _ in pieces) == units.size(1)
    samples, durations, position = [], [], 0
    for num_units, hold_back in pieces:
        code = units[:, position : position + num_units]
        position += num_units
        waveform, lengths = generator.streaming_forward(
            code, state, dur_prediction=dur_prediction, hold_back_frames=hold_back
        )
        samples.append(waveform.flatten())
        durations.append(lengths)
    if close:
        samples.append(generator.streaming_forward(units[:, :0], state, is_final=True)[0].flatten())
    return samples, durations


def even_pieces(num_units: int, piece_units: int, hold_back: int) -> Pieces:
    full, rest = divmod(num_units, piece_units)
    return [(piece_units, hold_back)] * full + ([(rest, hold_back)] if rest else [])


@torch.no_grad()
def assert_pieces_are_whole_synthesis(
    generator: CodeGenerator, units: Tensor, pieces: Pieces, tolerance: float, *, dur_prediction: bool
) -> None:
    """Each piece is its stretch of a whole synthesis of the units known then, with the durations as fixed."""
    samples, durations = stream(generator, units, pieces, dur_prediction=dur_prediction)
    hop, num_units, num_written = generator.config.code_hop_samples, 0, 0
    for index, piece in enumerate(samples):
        is_closing = index == len(pieces)
        num_new, hold_back = (0, 0) if is_closing else pieces[index]
        num_units += num_new
        known = torch.cat(durations[: index + 1], dim=1)
        stop = max(num_written, int(known.sum()) - hold_back)
        assert piece.numel() == (stop - num_written) * hop
        if stop > num_written:
            whole = generator.forward_from_durations(units[:, :num_units], known).flatten()
            expected = whole[num_written * hop : stop * hop]
            torch.testing.assert_close(piece, expected, atol=tolerance, rtol=0)
        if dur_prediction and num_new:
            predicted = generator.predict_durations(units[:, :num_units])[:, -num_new:]
            assert torch.equal(durations[index], predicted)
        num_written = stop


@pytest.mark.parametrize("dur_prediction", [False, True], ids=["frames", "durations"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_1_pieces_equal_whole_synthesis(dtype: torch.dtype, dur_prediction: bool) -> None:
    generator = make_generator(SMALL, dtype)
    for num_units, piece_units, hold_back in [(1, 1, 0), (9, 1, 0), (40, 7, 0), (40, 7, 2), (33, 1, 12)]:
        pieces = even_pieces(num_units, piece_units, hold_back)
        units = random_units(num_units)
        assert_pieces_are_whole_synthesis(
            generator, units, pieces, TOLERANCE[dtype], dur_prediction=dur_prediction
        )


@pytest.mark.parametrize("changes", OTHER_SHAPES, ids=str)
def test_1_other_shapes(changes: dict[str, Any]) -> None:
    generator = make_generator({**SMALL, **changes})
    for hold_back in (0, 1, 6, 40):
        pieces = even_pieces(60, 4, hold_back)
        assert_pieces_are_whole_synthesis(generator, random_units(60), pieces, 1e-9, dur_prediction=False)


@pytest.mark.parametrize("piece_units", [5, 44])
def test_with_durations_and_the_receptive_field_held_back_all_is_whole_synthesis(
    generator: CodeGenerator, piece_units: int
) -> None:
    units = random_units(90)
    hold_back = generator_receptive_field(generator.config).right_frames
    samples, durations = stream(
        generator, units, even_pieces(90, piece_units, hold_back), dur_prediction=True
    )
    with torch.no_grad():
        whole = generator.forward_from_durations(units, torch.cat(durations, dim=1)).flatten()
    torch.testing.assert_close(torch.cat(samples), whole, atol=1e-9, rtol=0)


def test_1_base_size_equals_whole_synthesis() -> None:
    generator = make_generator(public_config(), torch.float32)
    units = random_units(50, num_embeddings=1000)
    with torch.no_grad():
        whole = generator(units).flatten()
    for piece_units in (6, 16):
        samples, _ = stream(generator, units, even_pieces(50, piece_units, 21))
        torch.testing.assert_close(torch.cat(samples), whole, atol=1e-5, rtol=0)
    pieces = [(16, 0), (10, 2), (10, 4)]
    assert_pieces_are_whole_synthesis(generator, units[:, :36], pieces, 1e-5, dur_prediction=False)


@pytest.mark.parametrize("dur_prediction", [False, True], ids=["frames", "durations"])
def test_2_any_pieces_and_any_hold_back(generator: CodeGenerator, dur_prediction: bool) -> None:
    @settings(deadline=None, max_examples=20, derandomize=True)
    @given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 25)), min_size=1, max_size=10))
    def check(pieces: Pieces) -> None:
        units = random_units(sum(num_units for num_units, _ in pieces))
        assert_pieces_are_whole_synthesis(generator, units, pieces, 1e-9, dur_prediction=dur_prediction)

    check()


def test_2_units_and_the_end_may_come_together(generator: CodeGenerator) -> None:
    units = random_units(30)
    apart = torch.cat(stream(generator, units, [(20, 3), (10, 0)])[0])
    state = generator.init_state()
    with torch.no_grad():
        first, _ = generator.streaming_forward(units[:, :20], state, hold_back_frames=3)
        # What is held back does not matter at the end.
        second, _ = generator.streaming_forward(units[:, 20:], state, is_final=True, hold_back_frames=9)
    torch.testing.assert_close(torch.cat([first.flatten(), second.flatten()]), apart, atol=1e-9, rtol=0)


def test_durations_after_a_reset_are_those_of_a_fresh_stream(generator: CodeGenerator) -> None:
    units, pieces = random_units(50), even_pieces(50, 4, 2)
    expected = torch.cat(stream(generator, units, pieces, dur_prediction=True)[0])
    state = generator.init_state()
    stream(generator, random_units(31, seed=8), [(20, 0), (11, 9)], state, dur_prediction=True)
    state.reset()
    assert torch.equal(torch.cat(stream(generator, units, pieces, state, dur_prediction=True)[0]), expected)


def test_a_clone_replays_with_durations(generator: CodeGenerator) -> None:
    units, rest = random_units(24), random_units(20, seed=9)
    state = generator.init_state()
    stream(generator, units, even_pieces(24, 5, 3), state, close=False, dur_prediction=True)
    snapshot = state.clone()
    expected = stream(generator, rest, even_pieces(20, 3, 1), state, dur_prediction=True)[0]
    stream(generator, random_units(7), [(7, 0)], snapshot.clone(), dur_prediction=True)
    moved = snapshot.to(device="cpu", dtype=torch.float64)
    for replayed in (snapshot, moved):
        actual = stream(generator, rest, even_pieces(20, 3, 1), replayed, dur_prediction=True)[0]
        assert torch.equal(torch.cat(actual), torch.cat(expected))


@pytest.mark.parametrize("hold_back", [0, 3, 30])
def test_5_the_state_is_bounded(generator: CodeGenerator, hold_back: int) -> None:
    state = generator.init_state()
    num_bytes = []
    for seed in range(80):
        stream(generator, random_units(2, seed=seed), [(2, hold_back)], state, close=False)
        num_bytes.append(state.num_bytes)
    largest = max(num_bytes[:40])
    assert max(num_bytes[40:]) <= largest
    stream(generator, random_units(300), [(300, hold_back)], state, close=False)
    assert state.num_bytes <= largest


class ConvolutionMeter(TorchDispatchMode):
    """Counts the outputs of convolutions, but not of transposed ones, which make some more at their edges."""

    def __init__(self) -> None:
        super().__init__()
        self.num_outputs = self.largest_output = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and not args[6]:
            self.num_outputs += result.numel()
            self.largest_output = max(self.largest_output, result.numel())
        return result


def work(generator: CodeGenerator, units: Tensor, pieces: Pieces, state: VocoderState | None = None) -> int:
    with ConvolutionMeter() as meter:
        stream(generator, units, pieces, state, close=state is None)
    return meter.num_outputs


@pytest.mark.parametrize("piece_units", [1, 7, 80])
def test_6_with_the_receptive_field_held_back_nothing_is_computed_twice(
    generator: CodeGenerator, piece_units: int
) -> None:
    hold_back = generator_receptive_field(generator.config).right_frames
    with ConvolutionMeter() as meter, torch.no_grad():
        generator(random_units(80))
    assert work(generator, random_units(80), even_pieces(80, piece_units, hold_back)) == meter.num_outputs > 0


@pytest.mark.parametrize("hold_back", [0, 2])
def test_6_work_is_the_same_at_each_call_and_less_than_with_left_context(
    generator: CodeGenerator, hold_back: int
) -> None:
    field = generator_receptive_field(generator.config)
    state = generator.init_state()
    stream(generator, random_units(60), [(60, hold_back)], state, close=False)
    works = [work(generator, random_units(4, seed=n), [(4, hold_back)], state) for n in range(12)]
    assert len(set(works)) == 1
    with ConvolutionMeter() as meter, torch.no_grad():
        generator(random_units(field.left_frames + 4))
    assert 0 < works[0] < 0.7 * meter.num_outputs


def test_6_a_call_that_writes_nothing_computes_nothing(generator: CodeGenerator) -> None:
    state = generator.init_state()
    assert work(generator, random_units(10), [(10, 10)], state) == 0
    assert work(generator, random_units(0), [(0, 10)], state) == 0


def test_a_batch_of_units_is_refused(vocoder: CodeHiFiGANVocoder) -> None:
    with pytest.raises(VocoderError, match="shape"):
        vocoder.streaming_forward(torch.zeros(2, 3, dtype=torch.long), vocoder.init_state())


@torch.no_grad()
@pytest.mark.parametrize("dur_prediction", [False, True], ids=["frames", "durations"])
@pytest.mark.parametrize(("piece_units", "hold_back"), [(1, 0), (3, 2), (11, 5), (50, 40)])
def test_frames_become_known_in_blocks(
    generator: CodeGenerator, piece_units: int, hold_back: int, dur_prediction: bool
) -> None:
    block, hop = 7, generator.config.code_hop_samples
    units, state = random_units(50), generator.init_state()
    frames, num_written = units[:, :0], 0
    for piece in units.split(piece_units, dim=1):
        waveform, durations = generator.streaming_forward(
            piece, state, dur_prediction=dur_prediction, hold_back_frames=hold_back, block_frames=block
        )
        frames = torch.cat([frames, piece.repeat_interleave(durations[0], dim=1)], dim=1)
        num_known = frames.size(1) // block * block
        stop = max(num_written, num_known - hold_back)
        assert waveform.size(2) == (stop - num_written) * hop
        if stop > num_written:
            expected = generator(frames[:, :num_known])[:, :, num_written * hop : stop * hop]
            torch.testing.assert_close(waveform, expected, atol=1e-9, rtol=0)
        num_written = stop
    assert frames.size(1) > num_known, "the case must leave frames that fill no block"
    rest, _ = generator.streaming_forward(
        units[:, :0], state, is_final=True, hold_back_frames=frames.size(1), block_frames=block
    )
    torch.testing.assert_close(rest, generator(frames)[:, :, num_written * hop :], atol=1e-9, rtol=0)


@pytest.mark.parametrize("block_frames", [0, -4])
def test_a_block_of_no_frames_is_refused(vocoder: CodeHiFiGANVocoder, block_frames: int) -> None:
    units, state = random_units(20), vocoder.init_state()
    with pytest.raises(VocoderError, match="block_frames must be at least one frame"):
        vocoder.streaming_forward(units, state, is_final=True, block_frames=block_frames)
    waveform, _ = vocoder.streaming_forward(units, state, is_final=True)
    torch.testing.assert_close(waveform, vocoder({"code": units})[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("hold_back", [0, 5])
def test_a_long_write_is_whole_synthesis_in_parts(generator: CodeGenerator, hold_back: int) -> None:
    meters = []
    for num_units in (MAX_WRITTEN_FRAMES + 30, 4 * MAX_WRITTEN_FRAMES + 30):
        units = random_units(num_units)
        with ConvolutionMeter() as meter:
            parts, _ = stream(generator, units, [(num_units, hold_back)])
        with torch.no_grad():
            whole = generator(units).flatten()
        torch.testing.assert_close(torch.cat(parts), whole, atol=1e-9, rtol=0)
        meters.append(meter)
    assert meters[1].num_outputs > 2 * meters[0].num_outputs
    # The largest activation, and with it the memory, is that of a part.
    assert meters[1].largest_output <= 1.1 * meters[0].largest_output


def test_durations_stay_as_first_predicted(generator: CodeGenerator) -> None:
    units = random_units(60)
    one_by_one = torch.cat(stream(generator, units, even_pieces(60, 1, 0), dur_prediction=True)[1], dim=1)
    with torch.no_grad():
        whole = generator.predict_durations(units)
        known_then = [generator.predict_durations(units[:, : n + 1])[0, -1] for n in range(60)]
    assert torch.equal(one_by_one[0], torch.stack(known_then))
    assert not torch.equal(one_by_one, whole), "the case must have durations that later units change"


def test_vocoder_streams_float32_samples_without_gradients(vocoder: CodeHiFiGANVocoder) -> None:
    units = random_units(40)
    hold_back = vocoder.receptive_field.right_frames
    for streaming_vocoder in (vocoder, vocoder.double()):
        state = streaming_vocoder.init_state(1, device="cpu")
        pieces = [
            vocoder.streaming_forward(piece, state, is_final=index == 3, hold_back_frames=hold_back)
            for index, piece in enumerate(units.int().split(10, dim=1))
        ]
        waveform = torch.cat([piece for piece, _ in pieces])
        assert waveform.dtype == torch.float32
        assert not waveform.requires_grad
        assert torch.cat([durations for _, durations in pieces], dim=1).tolist() == [[1] * 40]
        torch.testing.assert_close(waveform, vocoder({"code": units})[0], atol=1e-5, rtol=0)


def test_an_empty_stream_gives_no_samples(vocoder: CodeHiFiGANVocoder) -> None:
    waveform, durations = vocoder.streaming_forward(
        torch.zeros(1, 0, dtype=torch.long), vocoder.init_state(), is_final=True, dur_prediction=True
    )
    assert waveform.shape == (0,)
    assert durations.shape == (1, 0)


def test_half_precision_streams(tmp_path: Path) -> None:
    half = CodeHiFiGANVocoder(save(random_state(SMALL), tmp_path / "g"), SMALL, fp16=True)
    units = random_units(30)
    state = half.init_state()
    assert state.outputs.steps.dtype == torch.float16
    first, _ = half.streaming_forward(units[:, :20], state, hold_back_frames=20)
    second, _ = half.streaming_forward(units[:, 20:], state, is_final=True)
    whole = half({"code": units})[0]
    assert (torch.cat([first, second]) - whole).abs().max() < 0.02 * whole.abs().max()


def test_refused_units_leave_the_stream_as_it_was(tmp_path: Path) -> None:
    config = without(SMALL, "dur_predictor_params")
    vocoder = CodeHiFiGANVocoder(save(random_state(config), tmp_path / "g"), config)
    units = random_units(20)
    expected = vocoder({"code": units})[0]
    state = vocoder.init_state()
    first, _ = vocoder.streaming_forward(units[:, :9], state, hold_back_frames=20)
    refused: list[tuple[Tensor, dict[str, Any], str]] = [
        (torch.tensor([[1, 30]]), {}, "unit 30"),
        (torch.tensor([[1.0]]), {}, "integers"),
        (torch.tensor([[1]]), {"hold_back_frames": -1}, "negative"),
        (torch.tensor([[1]]), {"dur_prediction": True, "is_final": True}, "no duration predictor"),
    ]
    for code, options, message in refused:
        with pytest.raises(VocoderError, match=message):
            vocoder.streaming_forward(code, state, **options)
    second, _ = vocoder.streaming_forward(units[:, 9:], state, is_final=True)
    torch.testing.assert_close(torch.cat([first, second]), expected, atol=1e-5, rtol=0)
