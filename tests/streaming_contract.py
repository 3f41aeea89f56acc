"""The contract of every streaming module, as seven tests that run on an adapter of the module.

Use: describe the module by a subclass of :class:`StreamingAdapter`, then::

    @pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
    class TestMyModule(StreamingContract): ...

A module whose state is for one stream takes :class:`SingleStreamContract`, and a seventh test of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from echostream.streaming import StreamFinishedError, StreamState

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


class StreamingAdapter(ABC):
    """One module under test; time is dimension 1 of inputs ``[B, T, …]`` and of outputs ``[B, T', D]``.

    Inputs are random ``[B, T, input_dim]``, unless the adapter makes others. ``tolerances`` has the types in
    which the module computes, and how far streaming may be from offline in each. ``batch_size`` is 1 for a
    module whose state is for one stream. Test 3 changes inputs where there are no gradients
    (``is_differentiable``).

    ``period`` is a number of inputs after which the module's work repeats; ``num_inputs`` is a length that
    fills every cache and ends within a period. ``padding`` stands in the padded inputs of test 7: NaN, unless
    the module multiplies padding by zero.

    A module that attends to its whole past sets ``keeps_history``. Then test 5 holds its state to
    ``bytes_per_input``, and test 6 counts the time steps that its submodules process: attention itself reads
    the whole past.
    """

    name: str
    input_dim: int
    period: int
    num_inputs: int
    padding: float = torch.nan
    batch_size: int = 2
    tolerances: Mapping[torch.dtype, float] = TOLERANCE
    is_differentiable: bool = True
    keeps_history: bool = False
    bytes_per_input: int

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the module, in float32 and evaluation mode, with the same weights each time."""

    @abstractmethod
    def output_length(self, num_inputs: int) -> int:
        """Return the number of outputs of a whole sequence."""

    @abstractmethod
    def num_ready(self, num_inputs: int) -> int:
        """Return how many outputs are out after so many inputs of an open stream, no more, no fewer."""

    @abstractmethod
    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        """Return the inputs that an output may read; the last one it does read."""

    @property
    def exact_dtype(self) -> torch.dtype:
        """The type in which differences show best."""
        return min(self.tolerances, key=self.tolerances.__getitem__)

    def random_input(self, batch_size: int, num_inputs: int, dtype: torch.dtype) -> Tensor:
        """Return the same input each time; its rows differ."""
        generator = torch.Generator().manual_seed(7)
        shape = (batch_size, num_inputs, self.input_dim)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    def changed_input(self, x: Tensor) -> Tensor:
        """Return another input, which differs from x at every step."""
        return -x

    def work_meter(self, module: nn.Module) -> Any:
        """Return a context manager that counts in ``num_elements`` the work done meanwhile."""
        return TimeStepMeter(module) if self.keeps_history else WorkMeter()

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        output: Tensor = module(x, lengths)[0]
        return output

    def init_state(self, module: Any, batch_size: int, dtype: torch.dtype) -> StreamState:
        state: StreamState = module.init_state(batch_size, device=torch.device("cpu"), dtype=dtype)
        return state

    def step(self, module: Any, x: Tensor, state: StreamState, is_final: bool) -> Tensor:
        output: Tensor = module.streaming_forward(x, state, is_final=is_final)
        return output


class WorkMeter(TorchDispatchMode):
    """Counts the elements that all operations write, copies included: more than hooks on submodules see."""

    def __init__(self) -> None:
        super().__init__()
        self.num_elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            outputs = result if isinstance(result, (tuple, list)) else [result]
            self.num_elements += sum(output.numel() for output in outputs if isinstance(output, Tensor))
        return result


class TimeStepMeter:
    """Counts the time steps that the submodules without submodules process, by forward hooks."""

    def __init__(self, module: nn.Module) -> None:
        self.leaves = [child for child in module.modules() if not list(child.children())]
        self.num_elements = 0

    def __enter__(self) -> Self:
        self.handles = [leaf.register_forward_hook(self._count) for leaf in self.leaves]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _count(self, leaf: nn.Module, inputs: Any, output: Any) -> None:
        assert isinstance(output, Tensor)
        self.num_elements += output.shape[:-1].numel()


def offline(adapter: StreamingAdapter, module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return adapter.forward(module, x, torch.full((x.size(0),), x.size(1)))


def stream(
    adapter: StreamingAdapter,
    module: nn.Module,
    x: Tensor,
    chunk_lengths: Sequence[int],
    state: StreamState | None = None,
    close: bool = True,
) -> Tensor:
    """Stream x in chunks of the given lengths; the last chunk closes the stream unless told not to."""
    assert sum(chunk_lengths) == x.size(1)
    if state is None:
        state = adapter.init_state(module, x.size(0), x.dtype)
    outputs = []
    with torch.no_grad():
        for index, chunk in enumerate(x.split(list(chunk_lengths), dim=1)):
            is_final = close and index == len(chunk_lengths) - 1
            outputs.append(adapter.step(module, chunk, state, is_final))
    return torch.cat(outputs, dim=1)


def even_chunks(num_inputs: int, chunk_length: int) -> list[int]:
    full, rest = divmod(num_inputs, chunk_length)
    return [chunk_length] * full + ([rest] if rest else [])


def work_of_periods(adapter: StreamingAdapter, module: nn.Module, num_periods: int) -> list[int]:
    """Return the work of each of many calls of one period of input."""
    x = adapter.random_input(1, adapter.period, torch.float32)
    state = adapter.init_state(module, 1, torch.float32)
    work = []
    for _ in range(num_periods):
        with torch.no_grad(), adapter.work_meter(module) as meter:
            adapter.step(module, x, state, False)
        work.append(meter.num_elements)
    return work


def check_gradients(adapter: StreamingAdapter, module: nn.Module, x: Tensor) -> None:
    """The inputs with a gradient of an output are visible, and the last visible one is among them."""
    x.requires_grad_()
    with torch.enable_grad():
        y = adapter.forward(module, x, torch.tensor([x.size(1)]))
        weights = torch.arange(1, y.size(2) + 1, dtype=y.dtype).sin()
        for index in range(y.size(1)):
            (gradient,) = torch.autograd.grad((y[0, index] * weights).sum(), x, retain_graph=True)
            read = gradient[0].abs().sum(dim=1).nonzero().flatten().tolist()
            visible = adapter.visible_inputs(index, x.size(1))
            assert read[0] >= visible.start
            assert read[-1] == visible.stop - 1


def check_changes(adapter: StreamingAdapter, module: nn.Module, x: Tensor) -> None:
    """An output stays when all invisible inputs change, and does not when the last visible one changes."""
    changed, y = adapter.changed_input(x), offline(adapter, module, x)
    for index in range(y.size(1)):
        visible = adapter.visible_inputs(index, x.size(1))
        others, last = changed.clone(), x.clone()
        others[:, visible.start : visible.stop] = x[:, visible.start : visible.stop]
        last[:, visible.stop - 1] = changed[:, visible.stop - 1]
        assert torch.equal(offline(adapter, module, others)[:, index], y[:, index])
        assert not torch.equal(offline(adapter, module, last)[:, index], y[:, index])


def check_constant_bytes(adapter: StreamingAdapter, num_bytes: list[int]) -> None:
    """The second half of a stream, and one more stretch of the same length at once, need no more memory."""
    middle = len(num_bytes) // 2
    assert max(num_bytes[middle:]) <= max(num_bytes[1:middle])


def check_linear_bytes(adapter: StreamingAdapter, num_bytes: list[int]) -> None:
    """A history takes so many bytes for an input, and at most as many again for room to grow."""
    num_inputs = [*range(len(num_bytes) - 1), 2 * (len(num_bytes) - 2)]
    for count, size in zip(num_inputs, num_bytes, strict=True):
        assert size <= num_bytes[0] + 2 * adapter.bytes_per_input * count
    assert num_bytes[-1] >= adapter.bytes_per_input * num_inputs[-1]


class StreamTests:
    """Tests 1 to 6, of a stream; a subclass is parametrised by ``adapter``."""

    def test_1_streaming_equals_offline(self, adapter: StreamingAdapter) -> None:
        period = adapter.period
        short = range(1, period + 2, 1 + period // 64)  # where a period is long, not every length
        lengths = sorted({*short, period, adapter.num_inputs - 1, adapter.num_inputs})
        for dtype, tolerance in adapter.tolerances.items():
            module = adapter.build().to(dtype)
            for num_inputs in lengths:
                x = adapter.random_input(adapter.batch_size, num_inputs, dtype)
                expected = offline(adapter, module, x)
                assert expected.size(1) == adapter.output_length(num_inputs)
                for chunk_length in (1, period, num_inputs):
                    actual = stream(adapter, module, x, even_chunks(num_inputs, chunk_length))
                    assert actual.dtype == dtype
                    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)

    def test_2_any_chunking_gives_the_same_output(self, adapter: StreamingAdapter) -> None:
        dtype = adapter.exact_dtype
        module = adapter.build().to(dtype)

        @settings(deadline=None, max_examples=20, derandomize=True)
        @given(st.lists(st.integers(0, adapter.period + 3), min_size=1, max_size=12))
        def check(chunk_lengths: list[int]) -> None:
            x = adapter.random_input(1, sum(chunk_lengths), dtype)
            actual = stream(adapter, module, x, chunk_lengths)
            assert actual.size(1) == adapter.output_length(x.size(1))
            if x.size(1) > 0:
                expected = offline(adapter, module, x)
                torch.testing.assert_close(actual, expected, atol=adapter.tolerances[dtype], rtol=0)

        check()

    def test_2_an_output_comes_as_soon_as_its_inputs_are_there(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        x = adapter.random_input(1, adapter.num_inputs, torch.float32)
        state = adapter.init_state(module, 1, x.dtype)
        num_outputs = 0
        with torch.no_grad():
            for index in range(adapter.num_inputs):
                num_outputs += adapter.step(module, x[:, index : index + 1], state, False).size(1)
                assert num_outputs == adapter.num_ready(index + 1)
            assert adapter.step(module, x[:, :0], state, False).size(1) == 0

    def test_3_an_output_reads_the_inputs_it_may_and_no_other(self, adapter: StreamingAdapter) -> None:
        dtype = adapter.exact_dtype
        x = adapter.random_input(1, adapter.num_inputs, dtype)
        check = check_gradients if adapter.is_differentiable else check_changes
        check(adapter, adapter.build().to(dtype), x)

    def test_4_reset_equals_fresh(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        x = adapter.random_input(adapter.batch_size, adapter.num_inputs, torch.float32)
        chunks = even_chunks(adapter.num_inputs, 3)
        expected = stream(adapter, module, x, chunks)
        state = adapter.init_state(module, adapter.batch_size, x.dtype)
        fresh_bytes = state.num_bytes
        earlier = adapter.changed_input(x)[:, : adapter.period + 1]
        stream(adapter, module, earlier, [adapter.period, 1], state)
        state.reset()
        assert state.num_bytes == fresh_bytes
        assert torch.equal(stream(adapter, module, x, chunks, state), expected)

    def test_4_a_closed_stream_refuses_input(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        x = adapter.random_input(1, adapter.num_inputs, torch.float32)
        state = adapter.init_state(module, 1, x.dtype)
        stream(adapter, module, x, [adapter.num_inputs], state)
        closed = state.to_tensors()
        for rest in (x, x[:, :0]):
            for is_final in (False, True):
                with pytest.raises(StreamFinishedError, match="reset"):
                    adapter.step(module, rest, state, is_final)
        after = state.to_tensors()
        assert after.keys() == closed.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in closed.items())

    def test_4_two_interleaved_sessions_do_not_meet(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        inputs = adapter.random_input(2, adapter.num_inputs, torch.float32)
        chunks = even_chunks(adapter.num_inputs, 3)
        states = [adapter.init_state(module, 1, inputs.dtype) for _ in range(2)]
        outputs: list[list[Tensor]] = [[], []]
        with torch.no_grad():
            for index, chunk in enumerate(inputs.split(chunks, dim=1)):
                for row in range(2):
                    is_final = index == len(chunks) - 1
                    outputs[row].append(adapter.step(module, chunk[row : row + 1], states[row], is_final))
        for row in range(2):
            expected = stream(adapter, module, inputs[row : row + 1], chunks)
            assert torch.equal(torch.cat(outputs[row], dim=1), expected)

    def test_4_a_clone_replays(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        x = adapter.random_input(1, adapter.num_inputs, torch.float32)
        middle = adapter.num_inputs // 2 + 1
        state = adapter.init_state(module, 1, x.dtype)
        stream(adapter, module, x[:, :middle], [middle], state, close=False)
        snapshot = state.clone()
        rest = x[:, middle:]
        expected = stream(adapter, module, rest, even_chunks(rest.size(1), 2), state)
        stream(adapter, module, adapter.changed_input(rest), [rest.size(1)], snapshot.clone())
        moved = snapshot.to(device="cpu", dtype=torch.float32)
        for replayed in (snapshot, moved):
            actual = stream(adapter, module, rest, even_chunks(rest.size(1), 2), replayed)
            assert torch.equal(actual, expected)

    def test_5_the_state_is_bounded(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        x = adapter.random_input(1, 24 * adapter.period, torch.float32)
        state = adapter.init_state(module, 1, x.dtype)
        num_bytes = [state.num_bytes]
        with torch.no_grad():
            for chunk in x.split(1, dim=1):
                adapter.step(module, chunk, state, False)
                num_bytes.append(state.num_bytes)
            adapter.step(module, x, state, False)
            num_bytes.append(state.num_bytes)
        check = check_linear_bytes if adapter.keeps_history else check_constant_bytes
        check(adapter, num_bytes)
        state.reset()
        assert state.num_bytes == num_bytes[0]

    def test_6_work_is_linear_in_time(self, adapter: StreamingAdapter) -> None:
        num_warmup = 1 + adapter.num_inputs // adapter.period
        work = work_of_periods(adapter, adapter.build(), num_warmup + 12)
        assert min(work) > 0
        assert len(set(work[num_warmup:])) == 1
        assert max(work) <= 1.5 * work[-1]

    def test_6_one_long_call_works_no_more_than_many_short_ones(self, adapter: StreamingAdapter) -> None:
        module = adapter.build()
        work = []
        for num_periods in (16, 32, 48):
            x = adapter.random_input(1, num_periods * adapter.period, torch.float32)
            state = adapter.init_state(module, 1, x.dtype)
            with torch.no_grad(), adapter.work_meter(module) as meter:
                adapter.step(module, x, state, False)
            work.append(meter.num_elements)
        assert work[2] - work[1] == work[1] - work[0] > 0


class StreamingContract(StreamTests):
    """The seven tests of a module that works on batches; a subclass is parametrised by ``adapter``."""

    def test_7_a_padded_row_equals_the_single_row(self, adapter: StreamingAdapter) -> None:
        module = adapter.build().double()
        lengths = [adapter.num_inputs, adapter.num_inputs - 1, adapter.period + 1, adapter.period, 1]
        x = adapter.random_input(len(lengths), adapter.num_inputs + 3, torch.float64)
        for row, length in enumerate(lengths):
            x[row, length:] = adapter.padding
        with torch.no_grad():
            y = adapter.forward(module, x, torch.tensor(lengths))
        assert not y.isnan().any()
        for row, length in enumerate(lengths):
            alone = offline(adapter, module, x[row : row + 1, :length])[0]
            assert alone.size(0) == adapter.output_length(length)
            torch.testing.assert_close(y[row, : alone.size(0)], alone, atol=1e-9, rtol=0)
            assert not y[row, alone.size(0) :].any()

    def test_7_a_streamed_row_equals_the_single_row(self, adapter: StreamingAdapter) -> None:
        module = adapter.build().double()
        x = adapter.random_input(3, adapter.num_inputs, torch.float64)
        chunks = even_chunks(adapter.num_inputs, adapter.period - 1 or 1)
        together = stream(adapter, module, x, chunks)
        for row in range(3):
            alone = stream(adapter, module, x[row : row + 1], chunks)[0]
            torch.testing.assert_close(together[row], alone, atol=1e-9, rtol=0)


class SingleStreamContract(StreamTests):
    """The seven tests of a module whose state is for one stream; the subclass brings the seventh."""

    def test_7_in_place_of_rows(self, adapter: StreamingAdapter) -> None:
        """Show what the module does with what would be a batch."""
        raise NotImplementedError(f"{type(self).__name__} has no test of what stands in place of rows")
