"""Speech from lists of units."""

from pathlib import Path

import pytest

from echostream.vocoder.errors import VocoderError
from echostream.vocoder.synthesis import main, read_units


def test_units_are_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("3 14 1\n\n5\n", encoding="utf-8")
    assert read_units(tmp_path / "units") == [[3, 14, 1], [], [5]]


def test_a_line_that_is_no_list_of_units_is_named(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("3\n7 <unk>\n", encoding="utf-8")
    with pytest.raises(VocoderError, match=r"line 2: '<unk>' is not a unit"):
        read_units(tmp_path / "units")


def test_missing_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "units").write_text("3\n", encoding="utf-8")
    paths = ["--output", str(tmp_path / "out"), "--vocoder", str(tmp_path / "g"), "--vocoder-cfg"]
    with pytest.raises(SystemExit):
        main(["--units", str(tmp_path / "units"), *paths, str(tmp_path / "config.json")])
    assert "config.json" in capsys.readouterr().err
