"""From a look-alike of the downloads to a folder that trains."""

import shutil
import subprocess
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from echostream.corpus.vocabulary import load_vocabulary
from echostream.cvss.manifests import write_configs
from echostream.cvss.vocabularies import Vocabularies
from echostream.data.audio import read_audio
from echostream.data.fbank import extract_fbank
from echostream.data.hubert_units import num_hubert_frames
from echostream.data.source_features import load_source_features
from echostream.tasks.speech_to_speech_ctc import SpeechToSpeechCTCTask
from tests.cvss.conftest import PREPARE, Downloads, dry_run, run_steps
from tests.cvss.look_alike import SIZES
from tests.cvss.tiny_hubert import NUM_UNITS

Row = dict[str, str]


def rows(path: Path) -> list[Row]:
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    """A prepared folder that the test may change."""
    return shutil.copytree(prepared, tmp_path / "copy")


@pytest.mark.parametrize("split", SIZES)
def test_manifest_rows_are_the_pairs_with_their_audio(
    downloads: Downloads, prepared: Path, split: str
) -> None:
    manifest = rows(prepared / f"{split}.tsv")
    assert [f"{row['id']}.mp3" for row in manifest] == downloads.corpus.clips(split)
    assert len(manifest) == SIZES[split]
    for row in manifest[:2]:
        mp3 = downloads.corpus.covost_root / "clips" / f"{row['id']}.mp3"
        expected = extract_fbank(read_audio(mp3)).numpy()
        found = load_source_features(str(prepared / row["src_audio"]))
        assert np.array_equal(found, expected)
        assert int(row["src_n_frames"]) == len(expected)
        units = row["tgt_audio"].split()
        assert len(units) == int(row["tgt_n_frames"])
        assert all(first != second for first, second in pairwise(units)), "reduced"
        assert row["src_text"] == row["src_text"].lower()
        assert not set(row["src_text"]) & set("\"'’!,.")


def test_durations_of_units_cover_the_target_speech(downloads: Downloads, prepared: Path) -> None:
    for row in rows(prepared / "units" / "test-00000.tsv"):
        wav = downloads.corpus.cvss_root / "test" / f"{row['id']}.mp3.wav"
        assert sum(map(int, row["durations"].split())) == num_hubert_frames(len(read_audio(wav)))


def test_texts_and_pieces(prepared: Path) -> None:
    for side, column in (("src", "src_text"), ("tgt", "tgt_text")):
        folder = prepared / f"{side}_unigram80"
        model = load_vocabulary(folder / "spm_unigram_fr.model")
        texts = {row["id"]: row[column] for row in rows(prepared / "test.tsv")}
        for row in rows(folder / "test.tsv"):
            assert model.decode(row["tgt_text"].split()) == texts[row["id"]]
    assert any("'" in row["tgt_text"] for row in rows(prepared / "train.tsv")), "kept on the target side"


def test_global_cmvn_is_that_of_the_training_clips(downloads: Downloads, prepared: Path) -> None:
    clips = [downloads.corpus.covost_root / "clips" / clip for clip in downloads.corpus.clips("train")]
    frames = np.concatenate([extract_fbank(read_audio(clip)).numpy() for clip in clips]).astype(np.float64)
    with np.load(prepared / "gcmvn.npz") as found:
        np.testing.assert_allclose(found["mean"], frames.mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(found["std"], frames.std(axis=0), atol=1e-4)


def test_given_statistics(
    downloads: Downloads, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "public.npz"
    np.savez(given, mean=np.zeros(80, np.float32), std=np.ones(80, np.float32))
    assert run_steps(downloads.variables(copied, GCMVN=str(given)), "cmvn") == [0]
    assert (copied / "gcmvn.npz").read_bytes() == given.read_bytes()
    np.savez(given, mean=np.zeros(80, np.float32), std=np.zeros(80, np.float32))
    assert run_steps(downloads.variables(copied, GCMVN=str(given)), "cmvn") == [1]
    assert "std must be positive" in capsys.readouterr().err


def test_simuleval_lists_have_the_manifests_lines(prepared: Path) -> None:
    manifest = rows(prepared / "test.tsv")
    folder = prepared / "simuleval" / "test"
    lists = {
        name: (folder / f"{name}.txt").read_text().splitlines() for name in ("wav_list", "target", "src")
    }
    assert [Path(line).stem for line in lists["wav_list"]] == [row["id"] for row in manifest]
    assert all(Path(line).is_absolute() and Path(line).is_file() for line in lists["wav_list"])
    assert lists["target"] == [row["tgt_text"] for row in manifest]
    assert lists["src"] == [row["src_text"] for row in manifest]


@pytest.mark.parametrize("config", ["config_echostream.yaml", "config_gcmvn.yaml"])
def test_the_folder_trains(prepared: Path, config: str) -> None:
    arguments = {
        "data": str(prepared),
        "config_yaml": config,
        "multitask_config_yaml": "config_mtl_asr_st_ctcst.yaml",
        "target_is_code": True,
        "target_code_size": NUM_UNITS,
        "n_frames_per_step": 1,
        "eval_inference": False,
        "infer_target_lang": "",
        "seed": 1,
        "max_source_positions": 6000,
        "max_target_positions": 1200,
    }
    task = SpeechToSpeechCTCTask.setup_task(Namespace(**arguments))
    for split in SIZES:
        task.load_dataset(split)
        assert len(task.dataset(split)) == SIZES[split]
    batches = task.get_batch_iterator(task.dataset("train"), max_tokens=4000).next_epoch_itr(shuffle=False)
    batch = next(iter(batches))
    assert batch["net_input"]["src_tokens"].shape[2] == 80
    assert torch.isfinite(batch["net_input"]["src_tokens"]).all()
    assert set(batch["multitask"]) == {"target_unigram", "source_unigram", "ctc_target_unigram"}


def test_a_second_run_changes_nothing(downloads: Downloads, copied: Path, prepared: Path) -> None:
    archive = copied / "features" / "train-00000.zip"
    before, time_before = contents(copied), archive.stat().st_mtime_ns
    assert run_steps(downloads.variables(copied)) == [0] * 7
    assert contents(copied) == before
    assert archive.stat().st_mtime_ns == time_before, "not even written again"


def test_audio_by_reference(downloads: Downloads, copied: Path, prepared: Path) -> None:
    steps = ("features", "cmvn", "manifests")
    assert run_steps(downloads.variables(copied, SOURCE="audio"), *steps) == [0] * 3
    for found, archived in zip(rows(copied / "dev.tsv"), rows(prepared / "dev.tsv"), strict=True):
        assert Path(found["src_audio"]).suffix == ".mp3"
        assert found["src_n_frames"] == archived["src_n_frames"]
    assert (copied / "gcmvn.npz").read_bytes() == (prepared / "gcmvn.npz").read_bytes()


def test_given_vocabularies(
    downloads: Downloads, copied: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = prepared / "tgt_unigram80" / "spm_unigram_fr.model"
    given = {"SPM_SRC": str(own), "SPM_TGT": str(own)}
    assert run_steps(downloads.variables(copied, **given), "vocabulary", "manifests") == [0, 0]
    for ending in (".model", ".txt", ".vocab"):
        copy = (copied / "src_unigram80" / "spm_unigram_fr").with_suffix(ending)
        assert copy.read_bytes() == own.with_suffix(ending).read_bytes()
    # English pieces do not cover French: that is said.
    assert "unknown pieces: source 0" not in capsys.readouterr().out.split("  dev:")[0]


def test_a_dictionary_of_another_model_is_refused(
    downloads: Downloads, copied: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(prepared / "src_unigram80" / "spm_unigram_fr.model", tmp_path / "spm.model")
    shutil.copy(prepared / "tgt_unigram80" / "spm_unigram_fr.txt", tmp_path / "spm.txt")
    variables = downloads.variables(copied, SPM_SRC=str(tmp_path / "spm.model"))
    assert run_steps(variables, "vocabulary") == [1]
    assert "does not list the pieces" in capsys.readouterr().err


def test_infeasible_training_utterances_are_listed_and_left_out(
    downloads: Downloads, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longest = max(int(row["tgt_n_frames"]) for row in rows(copied / "train.tsv"))
    limit = str(longest - 1)
    assert run_steps(downloads.variables(copied, MAX_UNITS=limit), "manifests", "lists") == [0, 0]
    listed = rows(copied / "reports" / "infeasible.train.tsv")
    assert listed
    assert all(f"{longest} are more than {limit}" in row["reason"] for row in listed)
    kept = [row["id"] for row in rows(copied / "train.tsv")]
    assert len(kept) == SIZES["train"] - len(listed)
    assert not {row["id"] for row in listed} & set(kept)
    assert [row["id"] for row in rows(copied / "src_unigram80" / "train.tsv")] == kept
    assert len((copied / "simuleval" / "train" / "src.txt").read_text().splitlines()) == len(kept)
    assert f"{len(listed)} utterances do not fit CTC or the unit limit, left out" in capsys.readouterr().out


def test_other_splits_are_never_filtered(downloads: Downloads, copied: Path) -> None:
    assert run_steps(downloads.variables(copied, CTC_UPSAMPLE_RATE="1"), "manifests") == [1], (
        "train: none left"
    )
    assert len(rows(copied / "reports" / "infeasible.train.tsv")) == SIZES["train"]
    shortest = str(min(int(row["tgt_n_frames"]) for row in rows(copied / "train.tsv")))
    assert run_steps(downloads.variables(copied, MAX_UNITS=shortest), "manifests") == [0]
    assert len(rows(copied / "test.tsv")) == SIZES["test"]
    assert rows(copied / "reports" / "infeasible.test.tsv"), "but what does not fit is listed"


def test_steps_out_of_order_say_what_to_run(
    downloads: Downloads, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = downloads.variables(tmp_path / "new")
    for step, needed in (
        ("features", "pairs"),
        ("vocabulary", "pairs"),
        ("manifests", "sentencepiece model"),
    ):
        assert run_steps(variables, step) == [1]
        assert needed in capsys.readouterr().err
    assert run_steps(variables, "pairs", "vocabulary", "manifests") == [0, 0, 1]
    assert "run the step features (all its shards)" in capsys.readouterr().err


def test_a_folder_with_other_contents_is_refused(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    assert run_steps(downloads.variables(tmp_path), "pairs") == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_configurations_of_another_language(prepared: Path, tmp_path: Path) -> None:
    write_configs(PREPARE.parents[2] / "configs" / "fr-en", Vocabularies(tmp_path, "es"))
    text = (tmp_path / "config_mtl_asr_st_ctcst.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["source_unigram"]["dict"] == "src_unigram6000/spm_unigram_es.txt"
    assert "Spanish" in text
    assert "French" not in text


def test_the_script_runs_a_step_and_its_variables_are_checked(downloads: Downloads, tmp_path: Path) -> None:
    def run(step: str, **changes: str) -> subprocess.CompletedProcess[str]:
        variables = downloads.variables(tmp_path / "out", **changes)
        return subprocess.run([PREPARE, step], env=variables, capture_output=True, text=True, check=False)

    done = run("pairs")
    assert done.returncode == 0, done.stderr
    assert "train: 16 pairs of 16 transcripts and 16 translations" in done.stdout
    for step, changes, message in (
        ("pairs", {"DATA": ""}, "set DATA to"),
        ("pairs", {"CVSS_ROOT": "/nowhere"}, "CVSS_ROOT is '/nowhere', which does not exist"),
        ("units", {"HUBERT_PATH": ""}, "set HUBERT_PATH to"),
        ("train", {}, "there is no step 'train'; the steps are pairs features units"),
    ):
        failed = run(step, **changes)
        assert failed.returncode == 1
        assert message in failed.stderr


def test_a_dry_run_does_nothing(downloads: Downloads, tmp_path: Path) -> None:
    variables = downloads.variables(tmp_path / "out", SHARD="2", NUM_SHARDS="4", SKIP_UNUSABLE="1")
    commands = dry_run(variables, "features", "units")
    assert [command[0] for command in commands] == ["features", "units"]
    for command in commands:
        assert "--shard 2 --num-shards 4 --skip-unusable" in " ".join(command)
    assert not any(tmp_path.iterdir())
