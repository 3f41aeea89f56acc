"""The criterion: what is minimised is what is logged, at every latency."""

import logging
import math
from typing import Any

import pytest
import torch
from fairseq.logging import metrics

from echostream.criterions.losses import ctc_term, text_term
from echostream.criterions.speech_to_unit_2pass_ctc_asr_st import SpeechToUnit2PassCriterion, metric_names
from tests.criterions.fakes import FakeModel, FakeTask, make_batch


def make_criterion(task: FakeTask | None = None, **changes: Any) -> SpeechToUnit2PassCriterion:
    arguments = {"sentence_avg": False, "label_smoothing": 0.1, "k1": 0, "k2": 0, "n1": 1, "n2": -1}
    return SpeechToUnit2PassCriterion(task or FakeTask(), **{**arguments, **changes})


def reduced(outputs: list[dict[str, Any]]) -> dict[str, float]:
    with metrics.aggregate() as aggregator:
        SpeechToUnit2PassCriterion.reduce_metrics(outputs)
        return dict(aggregator.get_smoothed_values())


def direct_terms(model: FakeModel, batch: dict[str, Any], chunk_size: int | None) -> dict[str, float]:
    """The terms computed from the model's outputs alone."""
    multitask = batch["multitask"]
    units, extra = model(
        **batch["net_input"],
        prev_output_tokens_mt=multitask["target_unigram"]["net_input"]["prev_output_tokens"],
        chunk_size=chunk_size,
    )
    lengths = (~extra["decoder_padding_mask"]).sum(1)
    blank = units.shape[-1] - 1
    terms = {"unit": ctc_term(units, lengths, batch["target"], batch["target_lengths"], blank=blank).loss}
    mt_logits = extra["mt_decoder_out"][0]
    terms["mt"], _ = text_term(mt_logits, multitask["target_unigram"]["target"], label_smoothing=0.1, pad=1)
    states = extra["encoder_out"]["encoder_out"][0]
    for kind, name in (("asr", "source_unigram"), ("st", "ctc_target_unigram")):
        logits = model.multitask_decoders[name].proj(states).transpose(0, 1)
        data = multitask[name]
        rows = (torch.tensor([10, 8]), data["target"], data["target_lengths"])
        terms[kind] = ctc_term(logits, *rows, blank=0).loss
    return {name: float(term) for name, term in terms.items()}


def test_total_is_the_weighted_sum_and_is_logged() -> None:
    torch.manual_seed(0)
    model, batch = FakeModel(), make_batch()
    loss, sample_size, output = make_criterion()(model.train(), batch)
    terms = direct_terms(model, batch, None)
    assert model.calls[0]["chunk_size"] is None, "without --multichunk the configured chunk size holds"
    total = terms["unit"] + 8 * terms["mt"] + 4 * terms["asr"] + 3 * terms["st"]
    assert loss.item() == pytest.approx(total, rel=1e-5)
    assert sample_size == 8
    loss.backward()
    values = reduced([output])
    bit = math.log(2)
    assert values["loss"] == pytest.approx(total / 8 / bit, abs=1e-3)
    assert values["unit_ctc_loss"] == pytest.approx(terms["unit"] / 8 / bit, abs=1e-3)
    assert values["mt_loss"] == pytest.approx(terms["mt"] / 7 / bit, abs=1e-3)
    assert values["asr_ctc_loss"] == pytest.approx(terms["asr"] / 5 / bit, abs=1e-3)
    assert values["st_ctc_loss"] == pytest.approx(terms["st"] / 5 / bit, abs=1e-3)
    assert 0 < values["mt_nll_loss"] != values["mt_loss"]


def test_metrics_add_up_over_batches() -> None:
    model, batch = FakeModel().train(), make_batch()
    criterion = make_criterion()
    outputs = [criterion(model, batch)[2] for _ in range(2)]
    outputs[1]["sum/mt_loss"] = outputs[1]["sum/mt_loss"] * 3
    single = reduced([outputs[0]])
    assert reduced(outputs)["mt_loss"] == pytest.approx(2 * single["mt_loss"], abs=2e-3)
    summed = {key: outputs[0][key] + outputs[1][key] for key in outputs[0]}
    assert reduced([summed])["mt_loss"] == pytest.approx(reduced(outputs)["mt_loss"])


def test_statistics_of_the_ctc_heads() -> None:
    """A head whose every position says the blank, and one whose every position says the same symbol."""
    model, batch = FakeModel().train(), make_batch()
    with torch.no_grad():
        model.multitask_decoders["source_unigram"].proj.bias[0] += 1000
        model.multitask_decoders["ctc_target_unigram"].proj.bias[5] += 1000
    values = reduced([make_criterion()(model, batch)[2]])
    assert (values["asr_ctc_blank"], values["asr_ctc_emitted"]) == (100, 0)
    positions = 10 + 8  # one symbol an utterance
    assert values["st_ctc_blank"] == 0
    assert values["st_ctc_emitted"] == pytest.approx(100 * 2 / positions, abs=0.01)
    assert 0 <= values["unit_ctc_blank"] <= 100


def test_sentence_average() -> None:
    model, batch = FakeModel().train(), make_batch()
    loss, sample_size, output = make_criterion(sentence_avg=True)(model, batch)
    assert sample_size == 2
    assert reduced([output])["loss"] == pytest.approx(loss.item() / 2 / math.log(2), abs=1e-3)


def test_weights_of_the_task_are_used() -> None:
    model, batch = FakeModel().train(), make_batch()
    criterion = make_criterion()
    for name in ("target_unigram", "source_unigram", "ctc_target_unigram"):
        criterion.set_multitask_loss_weight(name, 0.0)
    loss, _, output = criterion(model, batch)
    assert loss.item() == pytest.approx(direct_terms(model, batch, None)["unit"], rel=1e-5)
    assert "sum/mt_loss" not in output


def test_a_model_that_trains_one_side_has_its_terms_only() -> None:
    model, batch = FakeModel().train(), make_batch()
    criterion = make_criterion()
    whole, _, both = criterion(model, batch)
    parts = {}
    for side in ("text", "units"):
        model.train_side = side
        loss, sample_size, parts[side] = criterion(model.train(), batch)
        assert sample_size == 8
        parts[side].update(loss=loss.item(), validation=criterion(model.eval(), batch)[2])
    assert parts["units"]["loss"] == pytest.approx(direct_terms(model, batch, None)["unit"], rel=1e-5)
    assert parts["text"]["loss"] + parts["units"]["loss"] == pytest.approx(whole.item(), rel=1e-5)
    terms = {
        side: {name for name in parts[side] if name.startswith("sum/") and name != "sum/loss"}
        for side in parts
    }
    assert terms["units"] == {"sum/unit_ctc_loss"}
    assert terms["text"] == {name for name in both if name.startswith("sum/")} - {
        "sum/unit_ctc_loss",
        "sum/loss",
    }
    assert "unit_ctc_loss" not in reduced([parts["text"]["validation"]])
    assert "mt_loss" not in reduced([parts["units"]["validation"]])


def test_multichunk_draws_and_repeats_under_the_same_seed() -> None:
    batch = make_batch()
    criterion = make_criterion(multichunk=True)

    def draws() -> list[tuple[int, int]]:
        model = FakeModel().train()
        for update in range(12):
            torch.manual_seed(100 + update)  # as fairseq's trainer does before each update
            criterion(model, batch)
        return [(call["chunk_size"], call["streaming_config"]["n2"]) for call in model.calls]

    first = draws()
    assert first == draws()
    assert {chunk for chunk, _ in first} == {8, 16, 999}
    assert len({n2 for _, n2 in first}) > 1


def test_draws_do_not_depend_on_what_else_used_random_numbers() -> None:
    """So a batch draws the same on whatever process, and wherever in the update, it comes."""
    batch, other = make_batch(), make_batch()
    other["id"] = torch.tensor([12, 13])
    criterion = make_criterion(multichunk=True)
    model = FakeModel().train()
    draws: dict[str, list[tuple[int, int]]] = {"alone": [], "second": [], "other": []}
    for update in range(12):
        for name, batches in (("alone", [batch]), ("second", [other, batch]), ("other", [other])):
            torch.manual_seed(100 + update)
            for each in batches:
                torch.rand(update)
                criterion(model, each)
            draws[name].append((model.calls[-1]["chunk_size"], model.calls[-1]["streaming_config"]["n2"]))
    assert draws["alone"] == draws["second"] != draws["other"]


def test_streaming_config() -> None:
    assert make_criterion(k1=2, k2=1, n1=3, n2=4).streaming_config(9) == {"k1": 2, "n1": 3, "k2": 1, "n2": 4}
    criterion = make_criterion(k1=-1, k2=-1, n1=-1, n2=-1)
    seen = set()
    for seed in range(200):
        config = criterion.streaming_config(4, torch.Generator().manual_seed(seed))
        assert (config["k1"], config["n1"], config["k2"]) == (0, 1, 0)
        seen.add(config["n2"])
    assert seen == {1, 2, 3, 4, 5}, "uniform in [1, 1 + target length]"


def test_validation_reports_every_latency() -> None:
    torch.manual_seed(0)
    model, batch = FakeModel().eval(), make_batch()
    criterion = make_criterion(valid_chunk_sizes="8,16,offline").eval()
    _, _, output = criterion(model, batch)
    assert [call["chunk_size"] for call in model.calls] == [8, 16, 999]
    assert len({call["streaming_config"]["n2"] for call in model.calls}) == 1, "one mask for all latencies"
    values = reduced([output])
    for metric in ("loss", "unit_ctc_loss", "mt_loss", "asr_ctc_loss", "st_ctc_loss"):
        parts = [values[f"{metric}_{name}"] for name in ("c8", "c16", "offline")]
        assert values[metric] == pytest.approx(sum(parts) / 3, abs=2e-3)
    terms = direct_terms(model, batch, 16)
    assert values["mt_loss_c16"] == pytest.approx(terms["mt"] / 7 / math.log(2), abs=1e-3)
    assert values["asr_ctc_loss_c8"] != values["asr_ctc_loss_offline"]


def test_validation_is_repeatable_and_leaves_the_generator_alone() -> None:
    model, batch = FakeModel().eval(), make_batch()
    criterion = make_criterion(multichunk=True).eval()
    state = torch.get_rng_state()
    first = criterion(model, batch)[2]
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(77)
    second = criterion(model, batch)[2]
    assert reduced([first]) == reduced([second])


@pytest.mark.parametrize(
    ("multichunk", "segments", "names"),
    [(True, None, ["c8", "offline"]), (False, None, ["c8"]), (False, (4, 8, 32), ["c4", "c32"])],
)
def test_default_validation_list(
    multichunk: bool, segments: tuple[int, ...] | None, names: list[str]
) -> None:
    model, batch = FakeModel().eval(), make_batch()
    if segments is not None:
        model.encoder.segment_lengths = segments
        model.training_chunk_sizes = segments
    _, _, output = make_criterion(multichunk=multichunk).eval()(model, batch)
    found = [key.removeprefix("sum/loss_") for key in output if key.startswith("sum/loss_")]
    assert found == names


def test_report_accuracy() -> None:
    torch.manual_seed(0)
    model, batch = FakeModel().eval(), make_batch()
    criterion = make_criterion(report_accuracy=True, valid_chunk_sizes="8,offline").eval()
    with torch.no_grad():  # the best path of every unit position is unit 4: one unit an utterance
        model.units_out.bias[4] += 1000
        model.text_out.bias[4] += 1000
        model.multitask_decoders["source_unigram"].proj.bias[0] += 1000
    values = reduced([criterion(model, batch)[2]])
    # references 4 5 5 6 and 7 8: the distances of "4" are 3 and 2
    assert values["uer"] == values["uer_c8"] == pytest.approx(100 * 5 / 6, abs=0.01)
    assert values["mt_token_error"] == pytest.approx(100 * 6 / 7, abs=0.01)
    assert values["asr_token_error_offline"] == 100
    assert values["asr_word_error"] == 100
    assert "st_word_error_c8" in values
    assert not any("error" in key for key in make_criterion(report_accuracy=True)(model.train(), batch)[2])


def test_rdrop_doubles_the_batch_in_training_only() -> None:
    batch = make_batch()
    model = FakeModel(dropout=0.3)
    criterion = make_criterion(FakeTask(rdrop_alpha=0.5), rdrop_alpha=0.5)
    torch.manual_seed(1)
    with_rdrop, _, output = criterion.train()(model.train(), batch)
    assert model.calls[-1]["rows"] == 4
    assert batch["net_input"]["src_tokens"].shape[0] == 2, "the batch itself stays as it is"
    keys = [f"sum/{name}_rdrop_kl_loss" for name in ("unit", "mt", "asr_ctc", "st_ctc")]
    divergences = [float(output[key]) for key in keys]
    assert all(divergence > 0 for divergence in divergences)
    torch.manual_seed(1)
    plain, _, _ = make_criterion(FakeTask(rdrop_alpha=1e-12), rdrop_alpha=1e-12)(model, batch)
    weighted = divergences[0] + 8 * divergences[1] + 4 * divergences[2] + 3 * divergences[3]
    assert with_rdrop.item() == pytest.approx(plain.item() + 0.5 * weighted, rel=1e-4)
    criterion.eval()(model.eval(), batch)
    assert model.calls[-1]["rows"] == 2


def test_infeasible_units_are_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    batch = make_batch()
    model = FakeModel(rate=1).train()  # 4 and 3 positions for 5 (with a repeat) and 3 symbols
    with caplog.at_level(logging.WARNING):
        _, _, output = make_criterion()(model, batch)
    assert int(output["number/unit_ctc_infeasible"]) == 1
    assert "index [10]" in caplog.text
    assert "--ctc-upsample-rate" in caplog.text
    assert reduced([output])["unit_ctc_infeasible"] == 1
    assert "unit_ctc_infeasible" not in reduced([make_criterion()(FakeModel().train(), batch)[2]])


def test_without_the_ctc_heads_there_is_no_streaming_mask() -> None:
    task = FakeTask()
    task.multitask_tasks = {"target_unigram": task.multitask_tasks["target_unigram"]}
    model = FakeModel().train()
    make_criterion(task)(model, make_batch())
    assert model.calls[0]["streaming_config"] is None


def test_metric_names() -> None:
    configs = {name: task.args for name, task in FakeTask().multitask_tasks.items()}
    assert metric_names(configs) == {
        "target_unigram": "mt",
        "source_unigram": "asr",
        "ctc_target_unigram": "st",
    }
    configs["source_letter"] = configs["source_unigram"]
    assert metric_names(configs)["source_letter"] == "source_letter"
    configs["source_unigram"].input_from = "decoder"
    with pytest.raises(ValueError, match="decoder_layer is not supported"):
        metric_names(configs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_chunk_sizes": "8,x"}, "not 'x'"),
        ({"valid_chunk_sizes": "0"}, "not '0'"),
        ({"valid_chunk_sizes": "8,8"}, "twice"),
        ({"valid_chunk_sizes": "999,offline"}, "twice"),
        ({"ignore_prefix_size": 1}, "--ignore-prefix-size"),
        ({"n1": 0}, "--n1"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_criterion(**changes)
