"""fairseq's commands work for both models: train, resume, validate, generate, average."""

import math
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils

from echostream import checkpoint_averaging
from echostream.compat import CheckpointError, load_checkpoint
from echostream.models import StreamSpeechEncoder, StreamSpeechModel
from echostream.tasks.speech_to_speech_ctc import SpeechToSpeechCTCTask
from echostream.tasks.two_pass_generator import TwoPassGenerator, ctc_best_path, detokenize
from tests.data.tiny_corpus import TARGET_TEXTS, TinyCorpus, build
from tests.tasks.fairseq_commands import (
    ARCHITECTURES,
    SIZES,
    TASK,
    TRAINING,
    USER_DIR,
    generate,
    train,
    validate,
)

ARCHITECTURE_NAMES = tuple(ARCHITECTURES)
LATENCIES = {"streamspeech": ("c8", "offline"), "echostream": ("c4", "offline")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    return build(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def runs(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each model trained for six updates (three epochs), with a checkpoint in mid-epoch."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        arch: (
            folder / arch,
            train(
                corpus.root, folder / arch, arch, "--max-update", "6", "--save-interval-updates", "3",
                "--report-accuracy",
            ),
        )
        for arch in ARCHITECTURE_NAMES
    }  # fmt: skip


def losses(records: list[dict[str, Any]], first_update: int = 1) -> list[dict[str, str]]:
    wanted = ("loss", "unit_ctc_loss", "mt_loss", "asr_ctc_loss", "st_ctc_loss", "gnorm")
    return [
        {name: record[name] for name in wanted}
        for record in records
        if record["logger"] == "train_inner" and int(record["num_updates"]) >= first_update
    ]


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_training_logs_each_loss(runs: dict[str, Any], arch: str) -> None:
    _, records = runs[arch]
    assert len(losses(records)) == 6
    values = [float(value) for record in losses(records) for value in record.values()]
    assert all(math.isfinite(value) and value > 0 for value in values)
    valid = [record for record in records if record["logger"] == "dev"][-1]
    for metric in (
        "loss",
        "unit_ctc_loss",
        "mt_loss",
        "asr_ctc_loss",
        "st_ctc_loss",
        "uer",
        "mt_token_error",
    ):
        parts = [float(valid[f"dev_{metric}_{latency}"]) for latency in LATENCIES[arch]]
        assert float(valid[f"dev_{metric}"]) == pytest.approx(sum(parts) / 2, abs=0.02)
    assert valid["dev_loss_" + LATENCIES[arch][0]] != valid["dev_loss_" + LATENCIES[arch][1]]


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_no_sentence_is_dropped(runs: dict[str, Any], arch: str) -> None:
    """Four sentences in batches of two, with fairseq's default batch multiple of eight."""
    per_update = [float(record["bsz"]) for record in runs[arch][1] if record["logger"] == "train_inner"]
    assert per_update == [2.0] * 6


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_resumed_training_equals_an_uninterrupted_one(
    corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path, arch: str
) -> None:
    """Update 3 is in the middle of epoch 2: dropout, SpecAugment, chunk sizes and masks must all repeat."""
    folder, records = runs[arch]
    save_dir = tmp_path / "resumed"
    save_dir.mkdir()
    (save_dir / "checkpoint_last.pt").write_bytes((folder / "checkpoint_2_3.pt").read_bytes())
    resumed = train(corpus.root, save_dir, arch, "--max-update", "6")
    assert losses(resumed) == losses(records, first_update=4)
    expected = load_checkpoint(folder / "checkpoint_last.pt")["model"]
    found = load_checkpoint(save_dir / "checkpoint_last.pt")["model"]
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_validate_gives_the_numbers_of_training(corpus: TinyCorpus, runs: dict[str, Any], arch: str) -> None:
    folder, records = runs[arch]
    in_training = [record for record in records if record["logger"] == "dev"][-1]
    validated = validate(corpus.root, folder / "checkpoint_last.pt")
    for latency in LATENCIES[arch]:
        for metric in ("loss", "unit_ctc_loss", "mt_loss", "asr_ctc_loss", "st_ctc_loss", "uer"):
            name = f"{metric}_{latency}"
            assert float(validated[f"dev_{name}"]) == pytest.approx(
                float(in_training[f"dev_{name}"]), abs=2e-3
            )


def outputs(results: Path) -> dict[str, dict[str, str]]:
    """The table of texts, by id."""
    lines = (results / "generate-test.text.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
@pytest.mark.parametrize("beam", [1, 3])
def test_generate(
    corpus: TinyCorpus,
    runs: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arch: str,
    beam: int,
) -> None:
    checkpoint = runs[arch][0] / "checkpoint_last.pt"
    generate(corpus.root, checkpoint, tmp_path, "--beam", str(beam), "--max-len-b", "6")
    rows = outputs(tmp_path)
    assert sorted(rows) == ["s0", "s1", "s2", "s3"], "the last batch has one sentence and is kept"
    lines = (tmp_path / "generate-test.txt").read_text(encoding="utf-8").splitlines()
    manifest = (corpus.root / "test.tsv").read_text(encoding="utf-8").splitlines()
    for number in range(4):
        row = rows[f"s{number}"]
        assert f"T-{number}\t{manifest[1 + number].split(chr(9))[3]}" in lines
        (hypothesis,) = [line for line in lines if line.startswith(f"H-{number}\t")]
        assert hypothesis.split("\t")[2] == row["units"]
        assert all(unit.isdigit() and int(unit) < 20 for unit in row["units"].split())
    printed = capsys.readouterr().out
    for number in range(4):
        assert f"A-{number}\t{rows[f's{number}']['asr']}\n" in printed
        assert f"D-{number}\t{rows[f's{number}']['mt']}\n" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], None),
        (["--gen-chunk-size", "16"], 16),
        (["--gen-chunk-size", "model"], 8),
        (["--gen-chunk-size", "model", "--model-overrides", "{'chunk_size': 24}"], 24),
    ],
)
def test_generate_at_a_chunk_size(
    corpus: TinyCorpus,
    runs: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: int | None,
) -> None:
    forward = StreamSpeechEncoder.forward
    chunks: list[int | None] = []

    def recording(self: StreamSpeechEncoder, *args: Any, **kwargs: Any) -> Any:
        chunks.append(self.resolve_chunks(kwargs["chunk_size"])[0])
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(StreamSpeechEncoder, "forward", recording)
    checkpoint = runs["streamspeech"][0] / "checkpoint_last.pt"
    generate(corpus.root, checkpoint, tmp_path, "--beam", "1", "--max-len-b", "2", *arguments)
    assert chunks == [expected, expected], "once a batch, offline by default"


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_bf16(corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path, arch: str) -> None:
    records = train(corpus.root, tmp_path / "bf16", arch, "--max-update", "2", "--bf16")
    in_fp32 = losses(runs[arch][1])[:2]
    for record, reference in zip(losses(records), in_fp32, strict=True):
        assert float(record["loss"]) != float(reference["loss"])
        assert float(record["loss"]) == pytest.approx(float(reference["loss"]), rel=0.3)
    checkpoint = tmp_path / "bf16" / "checkpoint_last.pt"
    assert float(validate(corpus.root, checkpoint)["dev_loss"]) > 0
    arguments = ["--beam", "2", "--max-len-b", "4"]
    generate(corpus.root, checkpoint, tmp_path / "results", *arguments, "--bf16")
    assert len(outputs(tmp_path / "results")) == 4


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_averaged_checkpoints_can_be_used(
    corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path, arch: str
) -> None:
    folder = runs[arch][0]
    output = tmp_path / "average.pt"
    checkpoint_averaging.main(
        ["--inputs", str(folder), "--output", str(output), "--num-epoch-checkpoints", "2"]
    )
    weights = [load_checkpoint(folder / f"checkpoint{epoch}.pt")["model"] for epoch in (2, 3)]
    averaged = load_checkpoint(output)["model"]
    for name, weight in averaged.items():
        if weight.is_floating_point():
            torch.testing.assert_close(weight, (weights[0][name] + weights[1][name]) / 2)
        else:
            assert torch.equal(weight, weights[1][name])
    assert float(validate(corpus.root, output)["dev_loss"]) > 0


def test_offline_model_without_ctc_heads(corpus: TinyCorpus, tmp_path: Path) -> None:
    unity = ["--multitask-config-yaml", "config_unity.yaml"]
    arguments = [*unity, "--max-update", "1", "--chunk-size", "999", "--rdrop-alpha", "0.5"]
    records = train(corpus.root, tmp_path / "save", "streamspeech", *arguments)
    assert "unit_rdrop_kl_loss" in next(record for record in records if record["logger"] == "train_inner")
    checkpoint = tmp_path / "save" / "checkpoint_last.pt"
    generate(corpus.root, checkpoint, tmp_path, "--beam", "2", "--max-len-b", "4", *unity)
    assert {row["asr"] for row in outputs(tmp_path).values()} == {""}


def load_model(checkpoint: Path) -> tuple[StreamSpeechModel, SpeechToSpeechCTCTask]:
    """A trained model with larger weights, so that its outputs vary."""
    models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)])
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in models[0].parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) / parameter.shape[-1] ** 0.25)
    return models[0].eval(), task


def make_generator(
    model: StreamSpeechModel, task: SpeechToSpeechCTCTask, beam: int, folder: Path
) -> TwoPassGenerator:
    task.args.results_path, task.args.gen_subset, task.args.quiet = str(folder), "test", True
    task.load_dataset("test")
    return task.build_generator([model], Namespace(beam=beam, max_len_b=6))


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_a_sentence_is_translated_the_same_alone_and_in_a_batch(
    runs: dict[str, Any], tmp_path: Path, arch: str
) -> None:
    model, task = load_model(runs[arch][0] / "checkpoint_last.pt")
    generator = make_generator(model, task, 2, tmp_path)
    dataset = task.dataset("test")
    items = [dataset[index] for index in range(4)]
    batch = dataset.collater(items)
    together = dict(zip(batch["id"].tolist(), generator.generate([model], batch), strict=True))
    assert len({hypothesis["texts"].units for (hypothesis,) in together.values()}) > 1, "the outputs vary"
    for index, item in enumerate(items):
        ((alone,),) = generator.generate([model], dataset.collater([item]))
        assert alone["texts"] == together[index][0]["texts"]
        torch.testing.assert_close(
            alone["positional_scores"], together[index][0]["positional_scores"], atol=1e-4, rtol=1e-3
        )


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_greedy_search_takes_the_best_token_at_each_step(
    runs: dict[str, Any], tmp_path: Path, arch: str
) -> None:
    model, task = load_model(runs[arch][0] / "checkpoint_last.pt")
    generator = make_generator(model, task, 1, tmp_path)
    dataset = task.dataset("test")
    dictionary = task.target_dictionary_mt
    for index in range(4):
        batch = dataset.collater([dataset[index]])
        ((found,),) = generator.generate([model], batch)
        net_input = batch["net_input"]
        with torch.no_grad():
            encoder_out = model.forward_encoder(
                net_input["src_tokens"], net_input["src_lengths"], chunk_size=999
            )
            prefix = [dictionary.eos()]
            while len(prefix) <= 6:
                logits, features = model.decode_text(torch.tensor([prefix]), encoder_out)
                scores = logits[0, -1]
                scores[dictionary.pad()] = -math.inf
                if len(prefix) == 1:
                    scores[dictionary.eos()] = -math.inf  # --min-len 1
                best = int(scores.argmax())
                if best == dictionary.eos():
                    break
                prefix.append(best)
            _, features = model.decode_text(torch.tensor([prefix]), encoder_out)
            log_probs = model.text_to_units(features).log_softmax(-1)[0]
        symbols, _ = ctc_best_path(log_probs, len(task.target_dictionary) - 1)
        units = [task.target_dictionary[symbol] for symbol in symbols.tolist() if symbol >= 4]
        assert found["texts"].units.split() == units


@pytest.mark.parametrize("arch", ARCHITECTURE_NAMES)
def test_units_of_the_reference_text_are_those_of_training(
    runs: dict[str, Any], tmp_path: Path, arch: str
) -> None:
    model, task = load_model(runs[arch][0] / "checkpoint_last.pt")
    task.args.force_reference_text = True
    generator = make_generator(model, task, 1, tmp_path)
    dataset = task.dataset("test")
    batch = dataset.collater([dataset[index] for index in range(4)])
    forced = [hypothesis["texts"] for (hypothesis,) in generator.generate([model], batch)]
    prefix = batch["multitask"]["target_unigram"]["net_input"]["prev_output_tokens"]
    with torch.no_grad():
        logits, _ = model(**batch["net_input"], prev_output_tokens_mt=prefix, chunk_size=999)
    dictionary = task.target_dictionary_mt
    rate = logits.shape[1] // prefix.shape[1]
    for row, texts in enumerate(forced):
        tokens = prefix[row][prefix[row] != dictionary.pad()]
        assert texts.mt == detokenize([dictionary[token] for token in tokens[1:].tolist()])
        log_probs = logits[row, : len(tokens) * rate].log_softmax(-1)
        symbols, _ = ctc_best_path(log_probs, len(task.target_dictionary) - 1)
        assert texts.units.split() == [task.target_dictionary[unit] for unit in symbols.tolist() if unit >= 4]


def test_generate_with_the_reference_text(corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = runs["echostream"][0] / "checkpoint_last.pt"
    generate(corpus.root, checkpoint, tmp_path / "plain", "--force-reference-text")
    plain = outputs(tmp_path / "plain")
    names = [f"s{number}" for number in range(4)]
    assert [plain[name]["mt"] for name in names] == [detokenize(text.split()) for text in TARGET_TEXTS]
    generate(corpus.root, checkpoint, tmp_path, "--force-reference-text", "--unit-blank-penalty=-100")
    penalised = outputs(tmp_path)
    assert [penalised[name]["mt"] for name in names] == [plain[name]["mt"] for name in names]
    # With a negative penalty of this size, every position is blank.
    assert all(plain[name]["units"] and not penalised[name]["units"] for name in names)


def test_wrong_dictionary_size_is_clear(corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = runs["echostream"][0] / "checkpoint_last.pt"
    with pytest.raises(ValueError, match="dictionary size for decoder: the checkpoint has 25 entries"):
        generate(corpus.root, checkpoint, tmp_path, "--target-code-size", "21")


def test_checkpoint_of_another_architecture_is_clear(
    corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "checkpoint_last.pt").write_bytes(
        (runs["streamspeech"][0] / "checkpoint_last.pt").read_bytes()
    )
    with pytest.raises(Exception, match="Cannot load model parameters") as caught:
        train(corpus.root, tmp_path, "echostream", "--max-update", "8")
    assert "another architecture" in str(caught.value.__context__)


def test_corrupt_checkpoint_is_clear(corpus: TinyCorpus, runs: dict[str, Any], tmp_path: Path) -> None:
    whole = (runs["echostream"][0] / "checkpoint_last.pt").read_bytes()
    (tmp_path / "checkpoint_last.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint_last\.pt: corrupt or truncated"):
        train(corpus.root, tmp_path, "echostream", "--max-update", "8")
    with pytest.raises(CheckpointError, match=r"checkpoint_last\.pt: corrupt or truncated"):
        generate(corpus.root, tmp_path / "checkpoint_last.pt", tmp_path)


def test_user_dir_from_another_folder(corpus: TinyCorpus, tmp_path: Path) -> None:
    """A fresh process, as a user starts it: the plugin alone must register everything."""
    command = [str(Path(sys.executable).parent / "fairseq-train"), str(corpus.root), "--user-dir", USER_DIR]
    arguments = [*ARCHITECTURES["echostream"], *SIZES, *TASK, *TRAINING, "--max-update", "1"]
    finished = subprocess.run(
        [*command, *arguments, "--save-dir", str(tmp_path / "save"), "--bf16"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert (tmp_path / "save" / "checkpoint_last.pt").is_file()
