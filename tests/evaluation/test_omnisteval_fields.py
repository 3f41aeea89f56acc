"""Logs of text output hold what OmniSTEval 0.1.10 reads (`omnisteval shortform` and `longform`)."""

from pathlib import Path

from echostream.evaluation.cli import main
from tests.evaluation.conftest import RunSimulEval, read_log


def test_the_fields_are_there(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    log = read_log(run_simuleval("ScriptedTextAgent", main=main))
    for index, info in enumerate(log):
        assert info["index"] == index
        assert isinstance(info["prediction"], str)
        assert isinstance(info["reference"], str)
        assert info["reference"]
        # A time in ms for each word, ideal and computation-aware, in order.
        num_words = len(info["prediction"].split())
        for name in ("delays", "elapsed"):
            assert len(info[name]) == num_words
            assert all(isinstance(time, int | float) for time in info[name])
            assert info[name] == sorted(info[name])
        assert all(late >= ideal for late, ideal in zip(info["elapsed"], info["delays"], strict=True))
        assert isinstance(info["source_length"], int | float)
        # The recording is found by the first line of `source`, which is its path.
        assert Path(info["source"][0]) == tmp_path / f"{index}.wav"
