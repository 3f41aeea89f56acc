"""The example of docs/engine.md runs as it stands."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_translates_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 15
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/engine.md", "exec"), {})
    samples, rate = soundfile.read(tmp_path / "translated.wav")
    assert rate == 16000
    assert np.abs(samples).max() > 0.01
    assert capsys.readouterr().out.count(" ms  ") >= 3
