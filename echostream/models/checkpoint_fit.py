"""Clear answers to weights that do not fit a model: another architecture, another dictionary."""

from collections.abc import Iterable, Mapping

from torch import Tensor

# What the keys of an encoder tell about its architecture; the first prefix that is found counts.
ENCODER_KINDS = {
    "encoder.conformer_layers.": "Conformer encoder (streamspeech)",
    "encoder.emformer.": "Emformer encoder (echostream)",
    "encoder.layers.": "Transformer encoder",
    "encoder.w2v_model.": "wav2vec encoder",
}
MAX_LISTED = 5


class CheckpointMismatchError(ValueError):
    """Weights do not fit the model that should load them."""


def encoder_kind(keys: Iterable[str]) -> str:
    """Return in words what kind of encoder a state dict has, judged by its keys."""
    keys = list(keys)
    for prefix, kind in ENCODER_KINDS.items():
        if any(key.startswith(prefix) for key in keys):
            return kind
    return "unknown encoder"


def _dictionary_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return vocabulary sizes by the name of the decoder."""
    sizes = {}
    for key, value in state.items():
        for suffix in (".output_projection.weight", ".proj.weight"):
            decoder = key.removesuffix(suffix)
            if decoder != key and decoder.endswith("decoder") and "." not in decoder:
                sizes[decoder] = value.size(0)
    return sizes


def check_fits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Check that weights fit a model, apart from names that are missing on one side.

    Args:
        expected: the model's own state dict.
        found: the state dict that should be loaded.

    Raises:
        CheckpointMismatchError: for an encoder of another kind, a dictionary of another size, or any other
            shape that differs; the message says what was expected and what was found.
    """
    expected_kind, found_kind = encoder_kind(expected), encoder_kind(found)
    if expected_kind != found_kind:
        raise CheckpointMismatchError(
            f"the checkpoint is of another architecture: it holds: {found_kind}; the model has: "
            f"{expected_kind}. Load it with the --arch that it was trained with."
        )
    found_sizes = _dictionary_sizes(found)
    for decoder, size in _dictionary_sizes(expected).items():
        if found_sizes.get(decoder, size) != size:
            raise CheckpointMismatchError(
                f"wrong dictionary size for {decoder}: the checkpoint has {found_sizes[decoder]} entries, "
                f"the dictionary has {size}. Use the dictionary (or --target-code-size) of its training."
            )
    differing = [
        f"{key}: expected {list(expected[key].shape)}, found {list(value.shape)}"
        for key, value in found.items()
        if key in expected and expected[key].shape != value.shape
    ]
    if differing:
        more = f" and {len(differing) - MAX_LISTED} more" if len(differing) > MAX_LISTED else ""
        raise CheckpointMismatchError(
            "the checkpoint's weights have other sizes than the model: "
            f"{'; '.join(differing[:MAX_LISTED])}{more}. Build the model with the arguments of its training."
        )
