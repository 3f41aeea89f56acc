"""Clear answers to weights that do not fit a model: another architecture, another dictionary, other names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from echostream.models.weight_names import format_lines, group_names, merge_layers

# What the keys of an encoder tell about its architecture; the first prefix that is found counts.
ENCODER_KINDS = {
    "encoder.conformer_layers.": "Conformer encoder (streamspeech)",
    "encoder.emformer.": "Emformer encoder (echostream)",
    "encoder.layers.": "Transformer encoder",
    "encoder.w2v_model.": "wav2vec encoder",
}


class CheckpointMismatchError(ValueError):
    """Weights do not fit the model that should load them."""


@dataclass(frozen=True)
class WeightDifferences:
    """How two state dicts differ; falsy where they do not.

    Args:
        missing: lines for names that are expected and not there, each with its number of names.
        unexpected: lines for names that are there and not expected.
        other_shape: lines for names whose shapes differ, with both shapes.
    """

    missing: Mapping[str, int]
    unexpected: Mapping[str, int]
    other_shape: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.other_shape)

    def __str__(self) -> str:
        text = []
        for title, lines in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.other_shape),
        ):
            if lines:
                text += [f"  {title}: {sum(lines.values())}", *format_lines(lines)]
        return "\n".join(text)


def compare_weights(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> WeightDifferences:
    """Return how the names and shapes of two state dicts differ."""
    shapes = {
        f"{name}: expected {list(expected[name].shape)}, found {list(found[name].shape)}": 1
        for name in expected
        if name in found and expected[name].shape != found[name].shape
    }
    return WeightDifferences(
        missing=group_names(set(expected) - set(found), expected),
        unexpected=group_names(set(found) - set(expected), found),
        other_shape=merge_layers(shapes),
    )


def encoder_kind(keys: Iterable[str]) -> str:
    """Return in words what kind of encoder a state dict has, judged by its keys."""
    keys = list(keys)
    for prefix, kind in ENCODER_KINDS.items():
        if any(key.startswith(prefix) for key in keys):
            return kind
    return "unknown encoder"


def dictionary_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return vocabulary sizes, special symbols included, by the name of the decoder."""
    sizes = {}
    for key, value in state.items():
        for suffix in (".output_projection.weight", ".proj.weight"):
            decoder = key.removesuffix(suffix)
            if decoder != key and decoder.endswith("decoder") and "." not in decoder:
                sizes[decoder] = value.size(0)
    return sizes


def check_fits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], *, complete: bool = True) -> None:
    """Check that weights fit a model.

    Args:
        expected: the model's own state dict.
        found: the state dict that should be loaded.
        complete: whether names that are on one side only are an error as well.

    Raises:
        CheckpointMismatchError: for an encoder of another kind, a dictionary of another size, any other shape
            that differs, or other names; the message lists all that differs.
    """
    differences = compare_weights(expected, found)
    reason = _reason(expected, found, differences, complete)
    if reason:
        raise CheckpointMismatchError(f"{reason} What differs:\n{differences}")


def _reason(
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    differences: WeightDifferences,
    complete: bool,
) -> str | None:
    expected_kind, found_kind = encoder_kind(expected), encoder_kind(found)
    if expected_kind != found_kind:
        return (
            f"the checkpoint is of another architecture: it holds: {found_kind}; the model has: "
            f"{expected_kind}. Load it with the --arch that it was trained with."
        )
    found_sizes = dictionary_sizes(found)
    for decoder, size in dictionary_sizes(expected).items():
        if found_sizes.get(decoder, size) != size:
            return (
                f"wrong dictionary size for {decoder}: the checkpoint has {found_sizes[decoder]} entries, "
                f"the dictionary has {size}. Use the dictionary (or --target-code-size) of its training."
            )
    if differences.other_shape:
        return (
            "the checkpoint's weights have other sizes than the model. "
            "Build the model with the arguments of its training."
        )
    if complete and (differences.missing or differences.unexpected):
        return (
            "the checkpoint's weights do not have the names of this model's. "
            "Build the model with the arguments and the YAML files of its training."
        )
    return None
