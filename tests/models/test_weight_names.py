"""Lists of weight names in a form that can be read."""

import torch

from echostream.models.checkpoint_fit import compare_weights
from echostream.models.weight_names import MAX_LINES, format_lines, group_names, number_ranges


def test_modules_that_are_whole_and_layers_that_are_alike_are_one_line() -> None:
    layers = [f"encoder.layers.{i}.{part}.weight" for i in range(12) for part in ("fc1", "fc2")]
    universe = [*layers, "encoder.norm.weight", "encoder.norm.bias", "proj.weight"]
    second = [name for name in layers if "fc2" in name]
    assert group_names(second, universe) == {"encoder.layers.{0-11}.fc2.*": 12}
    assert group_names(layers[:4], universe) == {"encoder.layers.{0-1}.*": 4}
    assert group_names(layers, universe) == {"encoder.layers.*": 24}
    assert group_names(universe[:-1], universe) == {"encoder.*": 26}
    assert group_names(["proj.weight"], universe) == {"proj.*": 1}
    assert group_names([], universe) == {}


def test_number_ranges() -> None:
    assert number_ranges([5, 0, 1, 2, 7, 8]) == "0-2,5,7-8"


def test_long_lists_say_what_they_leave_out() -> None:
    lines = format_lines({f"part{chr(97 + i % 26)}{i}": 2 for i in range(MAX_LINES + 3)})
    assert len(lines) == MAX_LINES + 1
    assert lines[0].endswith("(2 names)")
    assert lines[-1].strip() == "… and 3 more lines (6 names)"


def test_shapes_that_differ_alike_in_all_layers_are_one_line() -> None:
    expected = {f"layers.{i}.fc.weight": torch.zeros(2, 3) for i in range(4)}
    found = {name: torch.zeros(3, 3) for name in expected}
    differences = compare_weights(expected, found)
    assert differences
    assert str(differences).splitlines() == [
        "  of another shape: 4",
        "    layers.{0-3}.fc.weight: expected [2, 3], found [3, 3]  (4 names)",
    ]
    assert not compare_weights(expected, expected)
