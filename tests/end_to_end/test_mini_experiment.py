"""The mini experiment: its stages, their commands, and a run of a model that has learned nothing."""

import json
import shlex
from pathlib import Path

import pytest

from echostream.evaluation.audio_checks import RESULT as AUDIO_CHECKS
from tests.end_to_end.mini_scripts import run, succeed

SCRIPT = "run.sh"
LAYERS = ("encoder", "translation-decoder", "synthesizer-encoder", "decoder")
TINY = {
    "NUM_TRAIN": "14",
    "NUM_DEV": "2",
    "NUM_TEST": "2",
    "NUM_TEST_HARD": "2",
    "NUM_UNITS": "40",
    "VOCAB_SIZE": "60",
    "VOCODER_UPDATES": "1",
    "MAX_UPDATE": "2",
    "UNIT_UPDATES": "2",
    "CHECKPOINT_INTERVAL": "1",
    "UNIT_CHECKPOINT_INTERVAL": "1",
    "AVERAGE": "2",
    "MAX_TOKENS": "1500",
    "NUM_WORKERS": "0",
    "ARCHS": "echostream_mini",
    "CHUNK_SIZES_MS": "640",
    "ASR_MODEL": "pocketsphinx",
    "EXTRA_TRAIN_FLAGS": " ".join(f"--{name}-layers 1" for name in LAYERS),
}
# Of the dry runs, whatever the defaults are.
SETTINGS = {
    "MAX_UPDATE": "70",
    "UNIT_UPDATES": "30",
    "AVERAGE": "3",
    "NUM_UNITS": "40",
    "SEED": "5",
    "CHUNK_SIZES_MS": "160 640",
    "HARD_CHUNK_SIZES_MS": "320",
}
SIMULTANEOUS = ("simul-s2st", "simul-s2tt", "streaming-asr")


def without_launcher(words: list[str]) -> list[str]:
    """The command that torchrun starts."""
    return words[words.index("--no-python") + 1 :] if words[0] == "torchrun" else words


def commands(runs: Path, *stages: str, **variables: str) -> list[list[str]]:
    """The commands that a dry run prints, without those that tidy up."""
    output = succeed(SCRIPT, runs, "--dry-run", *stages, **{**SETTINGS, **variables})
    lines = map(shlex.split, output.splitlines())
    return [
        without_launcher(words) for words in lines if words and words[0] not in ("==", "rm", "touch", "mv")
    ]


def program(words: list[str]) -> str:
    return words[2] if words[0] == "python" else words[0]


def value(words: list[str], flag: str) -> str:
    """Of a flag that is given several times the last value counts."""
    return words[len(words) - words[::-1].index(flag)]


def test_a_dry_run_prints_all_stages_and_does_nothing(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    printed = commands(runs)
    assert not any(tmp_path.iterdir())
    offline = ["fairseq-generate", "echostream.evaluation.offline", "echostream.vocoder.synthesis"]
    offline += ["echostream.evaluation.offline_speech"]
    speech_score = "echostream.evaluation.offline_speech"
    assert list(map(program, printed)) == [
        *("echostream.corpus.mini", "echostream.vocoder.training", speech_score, speech_score),
        *["fairseq-train"] * 2,
        *["echostream.checkpoint_averaging"] * 2,
        *["fairseq-train", "echostream.checkpoint_averaging"] * 2,
        *offline * 2,
        *["echostream-eval"] * (3 * 2 * 2),  # tasks, systems, chunk sizes
        *["fairseq-generate", "echostream.evaluation.offline"] * 2,
        *[*offline, *["echostream-eval"] * 3] * 2,
        "echostream.evaluation.report",
        *["echostream.evaluation.audio_checks"] * (2 * 2),
        "echostream.evaluation.report",
    ]
    trained = [words for words in printed if program(words) == "fairseq-train"]
    assert [value(words, "--arch") for words in trained] == ["echostream_mini", "streamspeech_mini"] * 2
    assert [value(words, "--train-side") for words in trained] == ["text"] * 2 + ["units"] * 2
    assert [value(words, "--max-update") for words in trained] == ["70"] * 2 + ["30"] * 2
    assert [value(words, "--max-tokens") for words in trained] == ["3000"] * 2 + ["1500"] * 2
    assert [value(words, "--dropout") for words in trained] == ["0.1"] * 2 + ["0"] * 2
    for flag in ("--seed", "--lr", "--update-freq", "--ctc-upsample-rate"):
        assert len({value(words, flag) for words in trained}) == 1, "one size and budget"
    assert {value(words, "--target-code-size") for words in trained} == {"40"}


def test_two_processes_share_the_updates_of_one(tmp_path: Path) -> None:
    printed = {}
    for number in ("", "1"):
        variables = {**SETTINGS, "ARCHS": "echostream_mini"} | ({"NUM_GPUS": number} if number else {})
        lines = succeed(SCRIPT, tmp_path, "--dry-run", "train", **variables).splitlines()
        (printed[number],) = [shlex.split(line) for line in lines if "fairseq-train" in line]
    assert printed[""][:4] == ["torchrun", "--standalone", "--nproc-per-node", "2"]
    two, one = without_launcher(printed[""]), printed["1"]
    changed = {
        one[i - 1]: (first, second)
        for i, (first, second) in enumerate(zip(one, two, strict=True))
        if first != second
    }
    assert changed == {"--distributed-world-size": ("1", "2"), "--update-freq": ("2", "1")}


def test_each_stage_takes_what_an_earlier_one_left(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    printed = commands(runs)
    vocoder = next(words for words in printed if program(words) == "echostream.vocoder.training")
    assert value(vocoder, "--output") == str(runs / "vocoder")
    for words in printed:
        if "--vocoder-cfg" in words:
            assert value(words, "--vocoder") == str(runs / "vocoder" / "checkpoint.pt")
        if program(words) in ("fairseq-generate", "echostream-eval"):
            model = value(words, "--path" if "--path" in words else "--model-path")
            arch = "echostream" if "config_echostream.yaml" in words else "streamspeech"
            assert model == str(runs / f"{arch}_mini.units" / "average.last_3.update_30.pt")
        if "--finetune-from-model" in words:
            text_model = runs / f"{value(words, '--arch')}.simul-s2st" / "average.last_3.update_70.pt"
            assert value(words, "--finetune-from-model") == str(text_model)
            assert value(words, "--save-dir") == str(runs / f"{value(words, '--arch')}.units")
    forced = [words for words in printed if "--force-reference-text" in words]
    assert [value(words, "--results-path") for words in forced] == [
        str(runs / f"{arch}_mini.text-to-unit") for arch in ("echostream", "streamspeech")
    ]
    hard = [words for words in printed if any("test_hard/" in word for word in words)]
    assert {value(words, "--source-segment-size") for words in hard} == {"320"}
    assert all(value(words, "--output").startswith(str(runs / "hard")) for words in hard)
    report = printed[-1]
    kinds = ("offline-s2st.generate", *SIMULTANEOUS, "text-to-unit")
    assert report[3 : report.index("--output")] == [
        str(runs / f"{arch}_mini.{kind}") for arch in ("echostream", "streamspeech") for kind in kinds
    ]


def test_stages_that_are_asked_for(tmp_path: Path) -> None:
    (demo,) = commands(tmp_path, "demo")
    assert program(demo) == "echostream.release"
    assert value(demo, "--model").endswith("echostream_mini.units/average.last_3.update_30.pt")
    ablations = commands(tmp_path, "ablations", VARIANTS="no_memory", ABLATION_UPDATES="20")
    trained = [words for words in ablations if program(words) == "fairseq-train"]
    assert [Path(value(words, "--save-dir")).parent for words in trained] == [
        tmp_path / "ablations" / name for name in ("base", "no_memory")
    ]
    assert {value(words, "--max-update") for words in trained} == {"20"}
    assert [program(words) for words in ablations[-2:]] == ["echostream.evaluation.ablation"] * 2


def test_a_second_seed_has_the_same_corpus_and_vocoder(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    printed = commands(second, SEED="2", CORPUS_RUN=str(first))
    programs = set(map(program, printed))
    assert not programs & {"echostream.corpus.mini", "echostream.vocoder.training"}
    train = next(words for words in printed if program(words) == "fairseq-train")
    assert value(train, "--seed") == "2"
    assert train[1] == str(first / "data")
    assert value(train, "--save-dir") == str(second / "echostream_mini.simul-s2st")
    speech = next(words for words in printed if "--vocoder" in words and words[0] == "echostream-eval")
    assert value(speech, "--vocoder") == str(first / "vocoder" / "checkpoint.pt")


def test_a_second_seed_of_text_alone(tmp_path: Path) -> None:
    text_alone = {"UNIT_UPDATES": "0", "EXTRA_TRAIN_FLAGS": "--train-side text", "ARCHS": "echostream_mini"}
    printed = commands(tmp_path, "train", "average", "units", "simul-s2tt", "text-to-unit", **text_alone)
    trained = [words for words in printed if program(words) == "fairseq-train"]
    assert [value(words, "--train-side") for words in trained] == ["text"]
    model = str(tmp_path / "echostream_mini.simul-s2st" / "average.last_3.update_70.pt")
    evaluated = [words for words in printed if program(words) == "echostream-eval"]
    assert {value(words, "--model-path") for words in evaluated} == {model}
    (generate,) = [words for words in printed if program(words) == "fairseq-generate"]
    assert value(generate, "--path") == model


@pytest.mark.parametrize(
    ("stage", "variables", "message"),
    [
        ("training", {}, "there is no stage 'training'; the stages are corpus vocoder ceiling"),
        ("train", {"ARCHS": "unity"}, "ARCH is 'unity'"),
        ("train", {"MAX_TOKENS": "many"}, "MAX_TOKENS is 'many'"),
        ("offline", {"ASR_COMMAND": "asr {wav}"}, "name two recognisers: set one of them"),
    ],
)
def test_bad_stages_and_variables_are_named(
    stage: str, variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    result = run(SCRIPT, tmp_path, "--dry-run", stage, **variables)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr


def test_units_need_a_text_model(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = run(SCRIPT, tmp_path, "units", **SETTINGS)
    assert result.returncode != 0
    assert "average.last_3.update_70.pt is missing: run the stages train and average first" in result.stderr


@pytest.mark.slow
def test_a_run_of_two_updates_and_nothing_twice(tmp_path: Path) -> None:
    """The stages that experiment.sh has not, or not by default: a dozen processes; most import fairseq."""
    stages = (
        "corpus",
        "vocoder",
        "ceiling",
        "train",
        "average",
        "units",
        "simul-s2st",
        "text-to-unit",
        "audio",
    )
    assert "train took" in succeed(SCRIPT, tmp_path, *stages, **TINY)
    scores = (tmp_path / "echostream_mini.text-to-unit" / "scores.txt").read_text(encoding="utf-8")
    assert "translation, text\tBLEU 100.00\tWER 0.00\tLENGTH 1.000\t" in scores
    for kind in ("speech", "units"):
        score = json.loads((tmp_path / "ceiling" / kind / "asr_bleu.json").read_text(encoding="utf-8"))
        assert 0 <= score["score"] <= 100
    folder = tmp_path / "echostream_mini.simul-s2st" / "chunk_size=640"
    checks = json.loads((folder / AUDIO_CHECKS).read_text(encoding="utf-8"))
    assert checks["length_ratio"] > 0
    again = succeed(SCRIPT, tmp_path, "ceiling", *stages[3:], **TINY)
    assert again.count("is there already") == 9
