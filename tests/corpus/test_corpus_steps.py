"""Steps are skipped, resumed and built again exactly when they should be."""

from pathlib import Path

import pytest

from echostream.corpus.steps import StepError, Steps, digest, write_text


class Work:
    """A step that writes two files into its folder and can be interrupted after the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: list[str] = []
        self.fails = False

    def __call__(self) -> list[str]:
        for name in ("work/1.txt", "work/2.txt"):
            if not (self.root / name).exists():
                if self.fails and name.endswith("2.txt"):
                    raise ValueError("interrupted")
                write_text(self.root / name, name)
                self.written.append(name)
        return ["work/1.txt", "work/2.txt"]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "corpus")


def run(work: Work, **inputs: object) -> str:
    return Steps(work.root, log=lambda line: None).run("work", inputs, work, folders=["work"])


def test_a_finished_step_is_skipped(work: Work) -> None:
    first = run(work, size=1)
    assert run(work, size=1) == first
    assert work.written == ["work/1.txt", "work/2.txt"]


def test_changed_inputs_build_again(work: Work) -> None:
    first = run(work, size=1)
    (work.root / "work" / "stale.txt").write_text("from the first build")
    assert run(work, size=2) != first
    assert len(work.written) == 4
    assert not (work.root / "work" / "stale.txt").exists()


def test_lost_outputs_are_made_again(work: Work) -> None:
    run(work, size=1)
    (work.root / "work" / "2.txt").unlink()
    run(work, size=1)
    assert work.written == ["work/1.txt", "work/2.txt", "work/2.txt"]


def test_an_interrupted_step_goes_on(work: Work) -> None:
    work.fails = True
    with pytest.raises(ValueError, match="interrupted"):
        run(work, size=1)
    work.fails = False
    run(work, size=1)
    assert work.written == ["work/1.txt", "work/2.txt"]


def test_an_interrupted_step_with_other_inputs_starts_anew(work: Work) -> None:
    work.fails = True
    with pytest.raises(ValueError, match="interrupted"):
        run(work, size=1)
    work.fails = False
    run(work, size=2)
    assert work.written == ["work/1.txt", "work/1.txt", "work/2.txt"]


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StepError, match="was not built by this tool"):
        Steps(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
    with pytest.raises(StepError, match="not a folder"):
        Steps(tmp_path / "thesis.txt")


def test_a_damaged_stamp_is_named(work: Work) -> None:
    run(work, size=1)
    (work.root / ".steps" / "work.json").write_text("{")
    with pytest.raises(StepError, match=r"work\.json is damaged"):
        run(work, size=1)


def test_fingerprints_depend_on_values_only() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
