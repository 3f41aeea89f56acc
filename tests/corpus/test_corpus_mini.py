"""A whole small corpus: layout, consistency, reproducibility, resuming and errors."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from fairseq.data.audio.data_cfg import SingleTaskConfig

from echostream.corpus import acoustics, manifests, mini, synthesis, units
from echostream.corpus.manifests import MANIFEST_COLUMNS, SOURCE_VOCABULARY, TARGET_VOCABULARY, ManifestRow
from echostream.corpus.mini import MiniBuilder, MiniConfig, main, parse_config, read_table
from echostream.corpus.summary import read_summary, summarize
from echostream.data.audio import read_audio
from echostream.data.fbank import GlobalCMVN, extract_fbank
from tests.corpus.tiny_builds import TINY_SIZES, tiny_config

SPLITS = tuple(TINY_SIZES)
SIMULEVAL_FILES = ("wav_list.txt", "target.txt", "src.txt", "target_wav_list.txt")


def files_of(root: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and ".steps" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def rebuild(root: Path, **changes: object) -> list[str]:
    said: list[str] = []
    MiniBuilder(tiny_config(root, **changes), said.append).build()
    return said


def steps_run(said: list[str]) -> set[str]:
    return {line[1 : line.index("]")] for line in said if "] built" in line or "] resumed" in line}


def test_layout_is_complete(tiny_corpus: Path) -> None:
    expected = {"gcmvn.npz", "config_gcmvn.yaml", "config_echostream.yaml", "config_mtl_asr_st_ctcst.yaml"}
    expected |= {"units/kmeans.npz", "vocoder/train.jsonl", "vocoder/dev.jsonl"}
    for prefix in (SOURCE_VOCABULARY, TARGET_VOCABULARY):
        expected |= {f"{prefix}{ending}" for ending in (".model", ".vocab", ".txt")}
    for split, size in TINY_SIZES.items():
        expected |= {f"{folder}{split}.tsv" for folder in ("", "text/", "units/", "src_bpe/", "tgt_bpe/")}
        expected |= {f"simuleval/{split}/{name}" for name in SIMULEVAL_FILES}
        names = [f"{split}_{number:06d}" for number in range(size)]
        expected |= {f"audio/{language}/{split}/{name}.wav" for language in ("fr", "en") for name in names}
    assert set(files_of(tiny_corpus)) == expected


def test_manifests_agree_with_the_audio(tiny_corpus: Path) -> None:
    for split, size in TINY_SIZES.items():
        rows = read_table(tiny_corpus / f"{split}.tsv")
        assert len(rows) == size
        assert tuple(rows[0]) == (*MANIFEST_COLUMNS, *mini.SPEECH_COLUMNS)
        quantized = {row["id"]: row for row in read_table(tiny_corpus / "units" / f"{split}.tsv")}
        for row in rows:
            source = read_audio(tiny_corpus / row["src_audio"])
            assert int(row["src_n_frames"]) == len(extract_fbank(source)) > 30
            reduced = [int(unit) for unit in row["tgt_audio"].split()]
            assert len(reduced) == int(row["tgt_n_frames"])
            assert all(0 <= unit < 20 for unit in reduced)
            assert all(a != b for a, b in itertools.pairwise(reduced))
            durations = [int(frames) for frames in quantized[row["id"]]["durations"].split()]
            assert len(durations) == len(reduced)
            target = soundfile.info(str(tiny_corpus / "audio" / "en" / split / f"{row['id']}.wav"))
            assert sum(durations) * units.HOP_SAMPLES == target.frames


def test_vocoder_lists_hold_one_unit_for_320_samples(tiny_corpus: Path) -> None:
    for split in ("train", "dev"):
        rows = read_table(tiny_corpus / f"{split}.tsv")
        lines = (tiny_corpus / "vocoder" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows, strict=True):
            entry = json.loads(line)
            assert list(entry) == ["audio", "code", "duration"]
            code = [int(unit) for unit in entry["code"].split()]
            info = soundfile.info(str(tiny_corpus / entry["audio"]))
            assert len(code) * 320 == info.frames
            assert entry["duration"] == pytest.approx(info.duration, abs=1e-9)
            assert " ".join(map(str, units.reduce_units(code)[0])) == row["tgt_audio"]


def test_configs_are_relative_and_point_at_files(tiny_corpus: Path) -> None:
    data = yaml.safe_load((tiny_corpus / "config_gcmvn.yaml").read_text())
    assert data["audio_root"] == "."
    assert data["input_feat_per_channel"] == 80
    assert data["feature_transforms"]["_train"] == ["global_cmvn"]
    statistics = GlobalCMVN.from_npz(tiny_corpus / data["global_cmvn"]["stats_npz_path"])
    assert statistics.mean.shape == (80,)
    full = yaml.safe_load((tiny_corpus / "config_echostream.yaml").read_text())
    assert full == data  # no settings of the encoder, which would win over the preset's
    tasks = yaml.safe_load((tiny_corpus / "config_mtl_asr_st_ctcst.yaml").read_text())
    weights = {
        name: [SingleTaskConfig(name, task).get_loss_weight(update) for update in (0, 1000, 9000)]
        for name, task in tasks.items()
    }
    assert weights == {
        "target_unigram": [8.0, 8.0, 8.0],
        "source_unigram": [200.0, 4.0, 4.0],
        "ctc_target_unigram": [4.0, 4.0, 4.0],
    }
    for task in tasks.values():
        assert task["decoder_args"]["dropout"] == 0.1
        assert (tiny_corpus / task["dict"]).is_file()
        for split in SPLITS:
            ids = [row["id"] for row in read_table(tiny_corpus / task["data"] / f"{split}.tsv")]
            assert ids == [row["id"] for row in read_table(tiny_corpus / f"{split}.tsv")]


def test_simuleval_lists_are_parallel(tiny_corpus: Path) -> None:
    for split in SPLITS:
        columns = [
            (tiny_corpus / "simuleval" / split / name).read_text(encoding="utf-8").splitlines()
            for name in SIMULEVAL_FILES
        ]
        for row, source, target, transcript, speech in zip(
            read_table(tiny_corpus / f"{split}.tsv"), *columns, strict=True
        ):
            assert Path(source).is_absolute()
            assert Path(source) == (tiny_corpus / row["src_audio"]).resolve()
            assert (target, transcript) == (row["tgt_text"], row["src_text"])
            assert Path(speech) == (tiny_corpus / "audio" / "en" / split / f"{row['id']}.wav").resolve()


def test_heldout_voices_occur_in_test_hard_only(tiny_corpus: Path) -> None:
    for split in SPLITS:
        voices = {row["voice"] for row in read_table(tiny_corpus / "text" / f"{split}.tsv")}
        allowed = synthesis.HELDOUT_VOICES if split == "test_hard" else synthesis.TRAIN_VOICES
        assert voices <= set(allowed)


def test_the_conditions_of_the_source_speech_are_heard_and_recorded(tiny_corpus: Path) -> None:
    for split in SPLITS:
        spoken = {row["id"]: row for row in read_table(tiny_corpus / "text" / f"{split}.tsv")}
        for row in read_table(tiny_corpus / f"{split}.tsv"):
            assert all(row[column] == spoken[row["id"]][column] for column in mini.SPEECH_COLUMNS)
            samples = read_audio(tiny_corpus / row["src_audio"])
            level_db = 20 * np.log10(np.abs(samples).max() / acoustics.PEAK_AMPLITUDE)
            assert level_db == pytest.approx(float(row["gain_db"]), abs=0.01)
            lead, tail = (int(row[column]) * 16 for column in ("lead_ms", "tail_ms"))
            background = np.concatenate([samples[:lead], samples[samples.size - tail :]])
            assert background.any() == (row["noise"] != acoustics.NO_NOISE)


def test_speech_can_be_left_bare(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    rebuild(root, noise=False)
    for split in SPLITS:
        rows = zip(read_table(root / f"{split}.tsv"), read_table(tiny_corpus / f"{split}.tsv"), strict=True)
        for bare, noisy in rows:
            assert [bare[column] for column in acoustics.CONDITION_COLUMNS] == ["none", "", "0.0", "0", "0"]
            assert [bare[column] for column in MANIFEST_COLUMNS if column != "src_n_frames"] == [
                noisy[column] for column in MANIFEST_COLUMNS if column != "src_n_frames"
            ]
            around_ms = int(noisy["lead_ms"]) + int(noisy["tail_ms"])
            # Frames of 10 ms; the ends of the silence fall between them.
            longer_frames = int(noisy["src_n_frames"]) - int(bare["src_n_frames"])
            assert longer_frames == pytest.approx(around_ms / 10, abs=1)


def test_the_same_command_gives_the_same_bytes(tiny_corpus: Path, tmp_path: Path) -> None:
    MiniBuilder(tiny_config(tmp_path / "again", num_jobs=3), lambda line: None).build()
    first, second = files_of(tiny_corpus), files_of(tmp_path / "again")
    for name in list(first):
        if name.startswith("simuleval/") and name.endswith("wav_list.txt"):
            # These lists alone hold absolute paths.
            assert second.pop(name).replace(str(tmp_path / "again").encode(), b"") == first.pop(name).replace(
                str(tiny_corpus).encode(), b""
            )
    assert first == second


def test_only_what_depends_on_a_change_is_built_again(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    assert steps_run(rebuild(root)) == {"manifests"}  # a moved corpus: SimulEval's absolute paths
    assert steps_run(rebuild(root)) == set()
    assert steps_run(rebuild(root, duration_penalty=3.0)) == {"units", "manifests"}
    assert steps_run(rebuild(root, duration_penalty=3.0, vocab_size=70)) == {"vocabulary", "manifests"}
    assert (
        steps_run(rebuild(root, ctc_upsample_rate=3, num_jobs=2, duration_penalty=3.0, vocab_size=70))
        == set()
    )
    rebuild(root)
    assert files_of(root).keys() == files_of(tiny_corpus).keys()
    for split in SPLITS:
        assert (root / f"{split}.tsv").read_bytes() == (tiny_corpus / f"{split}.tsv").read_bytes()


def test_an_interrupted_build_goes_on(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, speak = tmp_path / "corpus", synthesis.speak

    def interrupted(utterance: synthesis.Utterance) -> synthesis.Samples:
        if len(list(root.rglob("*.wav"))) == 5:
            raise synthesis.SynthesisError("power failure")
        return speak(utterance)

    monkeypatch.setattr(synthesis, "speak", interrupted)
    with pytest.raises(synthesis.SynthesisError, match="power failure"):
        rebuild(root)
    monkeypatch.setattr(synthesis, "speak", speak)
    said = rebuild(root)
    total = 2 * sum(TINY_SIZES.values())
    assert f"  {total - 5} of {total} utterances had to be spoken" in said
    assert any(line.startswith("[audio] resumed") for line in said)
    assert (root / "train.tsv").read_bytes() == (tiny_corpus / "train.tsv").read_bytes()


def test_blocks_of_utterances_do_not_change_the_units(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    (root / "units" / "train.tsv").unlink()
    monkeypatch.setattr(mini, "BLOCK_UTTERANCES", 3)
    assert "units" in steps_run(rebuild(root))
    assert (root / "units" / "train.tsv").read_bytes() == (tiny_corpus / "units" / "train.tsv").read_bytes()
    (root / "units" / "kmeans.npz").unlink()
    monkeypatch.setattr(mini, "MAX_KMEANS_UTTERANCES", 2)
    rebuild(root)
    assert (root / "units" / "kmeans.npz").read_bytes() != (tiny_corpus / "units" / "kmeans.npz").read_bytes()


def test_a_split_can_be_empty_and_disappear(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    rebuild(root, sizes=TINY_SIZES | {"test": 0})
    assert not [name for name in files_of(root) if Path(name).stem == "test" or "/test/" in name]


def test_summary_counts_infeasible_items(tiny_corpus: Path) -> None:
    item = read_summary(tiny_corpus, "train")
    assert item.utterances == TINY_SIZES["train"]
    assert item.src_seconds == pytest.approx(
        sum(soundfile.info(str(path)).duration for path in (tiny_corpus / "audio/fr/train").iterdir()),
        rel=0.02,
    )
    rows = read_table(tiny_corpus / "train.tsv")
    texts = read_table((tiny_corpus / TARGET_VOCABULARY).parent / "train.tsv")
    pieces = [len(row["tgt_text"].split()) for row in texts]
    too_long = sum(int(row["tgt_n_frames"]) > count for row, count in zip(rows, pieces, strict=True))
    said: list[str] = []
    assert summarize(tiny_corpus, SPLITS, 1, said.append) == too_long == item.num_infeasible(1) > 0
    assert any(f"warning: train: {too_long} of 8" in line for line in said)
    quiet: list[str] = []
    assert summarize(tiny_corpus, SPLITS, 100, quiet.append) == 0
    assert not any("warning" in line for line in quiet)


@pytest.mark.parametrize("missing", synthesis.ENGINES)
def test_a_missing_synthesiser_stops_the_build_at_once(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in set(synthesis.ENGINES) - {missing}:
        (programs / name).symlink_to(synthesis.require_program(name))
    monkeypatch.setenv("PATH", str(programs))
    assert main(["--output", str(tmp_path / "corpus"), "--train", "8"]) == 1
    assert f"{missing} is not installed" in (message := capsys.readouterr().err)
    assert "sudo apt-get install espeak-ng flite" in message
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "0"], "at least one training sentence"),
        (["--train", "8", "--dev", "-1"], "must not be negative"),
        (["--train", str(10**30)], "ask for fewer"),
        (["--num-units", "0"], "--num-units is 0"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--duration-penalty", "-1"], "must not be negative"),
    ],
)
def test_impossible_arguments(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path / "corpus"), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_too_many_units_are_an_error(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    with pytest.raises(ValueError, match="5000 units cannot be learnt"):
        rebuild(root, num_units=5000)
    assert steps_run(rebuild(root)) >= {"kmeans", "manifests"}
    with np.load(root / "units" / "kmeans.npz", allow_pickle=False) as model:
        assert model["centroids"].shape == (20, units.NUM_FEATURES)


def test_command_line_defaults() -> None:
    command = ["--output", "corpus", "--train", "16", "--test-hard", "3", "--jobs", "2"]
    config = parse_config(command)
    assert config == MiniConfig(
        output=Path("corpus"), sizes={"train": 16, "dev": 20, "test": 20, "test_hard": 3}, num_jobs=2
    )
    assert config.noise
    assert not parse_config([*command, "--no-noise"]).noise


def test_manifest_rows_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x has 10 source frames and 0 units"):
        manifests.write_manifest(tmp_path / "train.tsv", [ManifestRow("x", "x.wav", 10, [], "a", "b")])
    with pytest.raises(ValueError, match="a tab or a line break"):
        manifests.write_manifest(tmp_path / "train.tsv", [ManifestRow("x", "x.wav", 10, [1], "a\tb", "b")])
    voiced = ManifestRow("x", "x.wav", 10, [1], "a", "b", conditions={"voice": "fr"})
    with pytest.raises(ValueError, match="y has the conditions"):
        manifests.write_manifest(
            tmp_path / "train.tsv", [voiced, ManifestRow("y", "y.wav", 9, [1], "a", "b")]
        )
    assert list(tmp_path.iterdir()) == []
