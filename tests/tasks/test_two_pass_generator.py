"""CTC best paths, text output and options of the generator."""

import io
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from echostream.tasks.chunk_sizes import chunk_size_name, parse_chunk_size, parse_chunk_sizes
from echostream.tasks.text_output import TextOutput, Texts
from echostream.tasks.two_pass_generator import SearchOptions, ctc_best_path, detokenize

TEXTS = Texts(asr="je vais", st_ctc="go", mt="i go", units="1 2")


def test_best_path_removes_repeats_and_blanks() -> None:
    path = [3, 1, 1, 3, 1, 2, 2, 3]
    probabilities = torch.full((len(path), 4), 0.1)
    probabilities[range(len(path)), path] = torch.tensor([0.7, 0.6, 0.7, 0.7, 0.5, 0.4, 0.7, 0.7])
    symbols, scores = ctc_best_path(probabilities.log(), blank=3)
    assert symbols.tolist() == [1, 1, 2]
    assert scores.tolist() == pytest.approx([math.log(value) for value in (0.6, 0.5, 0.4)])
    symbols, scores = ctc_best_path(probabilities.log(), blank=3, blank_penalty=1.9)
    assert symbols.tolist() == [1, 1, 2], "0.1 / exp(-1.9) is less than 0.7"
    symbols, scores = ctc_best_path(probabilities.log(), blank=3, blank_penalty=2.0)
    assert symbols.tolist() == [0, 1, 0, 1, 2, 0]
    assert scores.tolist() == pytest.approx([math.log(value) for value in (0.1, 0.6, 0.1, 0.5, 0.4, 0.1)])
    nothing, _ = ctc_best_path(torch.tensor([[-1.0, -0.1]] * 3), blank=1)
    assert nothing.numel() == 0


def test_detokenize() -> None:
    assert detokenize(["▁bon", "jour", "▁le", "▁monde"]) == "bonjour le monde"
    assert detokenize([]) == ""


def test_chunk_sizes() -> None:
    assert parse_chunk_size("offline") == 999
    assert parse_chunk_sizes("8, 16,offline") == (8, 16, 999)
    assert [chunk_size_name(size) for size in (8, 999, 99999, -1)] == ["c8", "offline", "offline", "offline"]
    for bad in ("", "x", "0", "-4", "4.5"):
        with pytest.raises(ValueError, match="a chunk size is a positive number"):
            parse_chunk_size(bad)


def config(**changes: Any) -> Namespace:
    """fairseq's generation arguments with their defaults."""
    defaults = {
        "beam": 5,
        "beam_mt": 0,
        "max_len_a": 0,
        "max_len_b": 200,
        "max_len_a_mt": 0,
        "max_len_b_mt": 200,
    }
    return Namespace(**{**defaults, "lenpen": 1, "lenpen_mt": 1, "nbest": 1, **changes})


def test_options() -> None:
    plain = SearchOptions.from_generation_config(config(), "offline")
    assert (plain.beam, plain.max_len_b, plain.len_penalty, plain.chunk_size) == (5, 200, 1, 999)
    given = config(beam=4, max_len_a=0.1, max_len_b=10, lenpen=0.6, unnormalized=True, temperature=0.8)
    options = SearchOptions.from_generation_config(given, "16")
    assert (options.beam, options.max_len_a, options.max_len_b, options.len_penalty) == (4, 0.1, 10, 0.6)
    assert (options.normalize_scores, options.temperature, options.chunk_size) == (False, 0.8, 16)
    twins = config(beam=1, beam_mt=10, max_len_b_mt=50, lenpen_mt=2.0, max_len_a=1)
    options = SearchOptions.from_generation_config(twins, "model")
    assert (options.beam, options.max_len_b, options.len_penalty, options.chunk_size) == (10, 50, 2.0, None)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"nbest": 2}, "--nbest"),
        ({"prefix_size": 1}, "--prefix-size"),
        ({"sampling": True}, "--sampling"),
        ({"constraints": "ordered"}, "--constraints"),
        ({"print_alignment": "hard"}, "--print-alignment"),
        ({"score_reference": True}, "--score-reference"),
        ({"diverse_beam_groups": 2}, "--diverse-beam-groups"),
    ],
)
def test_unsupported_options(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(ValueError, match=flag):
        SearchOptions.from_generation_config(config(**changes), "offline")


def test_text_output_with_a_table(tmp_path: Path) -> None:
    stream = io.StringIO()
    table = tmp_path / "new" / "generate-test.text.tsv"
    output = TextOutput(table, ["a", "b"], stream=stream)
    output.write(1, TEXTS)
    output.write(0, TEXTS)
    assert stream.getvalue().splitlines()[:3] == ["A-1\tje vais", "C-1\tgo", "D-1\ti go"]
    assert table.read_text(encoding="utf-8").splitlines() == [
        "index\tid\tasr\tst_ctc\tmt\tunits",
        "1\tb\tje vais\tgo\ti go\t1 2",
        "0\ta\tje vais\tgo\ti go\t1 2",
    ]


def test_text_output_without_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    TextOutput.from_args(Namespace(results_path=None, quiet=False), None).write(7, TEXTS)
    assert capsys.readouterr().out == "A-7\tje vais\nC-7\tgo\nM-7\ti go\n"
    TextOutput.from_args(Namespace(results_path=None, quiet=True), None).write(7, TEXTS)
    assert capsys.readouterr().out == ""
