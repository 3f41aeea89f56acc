"""The example of docs/engine.md runs as it stands, in a folder that looks like the quickstart's."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import TinyCheckpoint

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_example_translates_a_file(
    checkpoints: dict[str, TinyCheckpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = (DOCS / "engine.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 20
    tiny, work = checkpoints["echostream"], tmp_path / "runs/quickstart"
    shutil.copytree(tiny.folder, work / "data")
    for source, target in (
        (tiny.checkpoint, "model/checkpoint_last.pt"),
        (tiny.vocoder, "vocoder/checkpoint.pt"),
        (tiny.vocoder_config, "vocoder/config.json"),
    ):
        (work / target).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, work / target)
    soundfile.write(tmp_path / "french.wav", noise(48000), 16000)
    lists = work / "data/simuleval/train"
    lists.mkdir(parents=True)
    (lists / "wav_list.txt").write_text(f"{tmp_path / 'french.wav'}\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/engine.md", "exec"), {})
    samples, rate = soundfile.read(tmp_path / "translated.wav")
    assert rate == 16000
    assert np.abs(samples).max() > 0
    assert " ms  " in capsys.readouterr().out
