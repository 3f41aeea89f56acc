"""The training objective: unit CTC, text cross entropy, and the CTC losses of recognition and translation."""

import logging
import zlib
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.criterions.label_smoothed_cross_entropy_with_rdrop import (
    RdropLabelSmoothedCrossEntropyCriterionConfig,
)
from torch import Tensor

from echostream.criterions import accuracy
from echostream.criterions.losses import CTCTerm, ctc_term, padded_positions, rdrop_term, text_term
from echostream.criterions.statistics import Statistics, log_metrics
from echostream.tasks.chunk_sizes import chunk_size_name, parse_chunk_sizes

logger = logging.getLogger(__name__)

_MAX_WARNINGS = 5


@dataclass
class SpeechToUnit2PassConfig(RdropLabelSmoothedCrossEntropyCriterionConfig):
    """Arguments of the criterion; names and defaults are StreamSpeech's."""

    k1: int = field(default=3, metadata={"help": "text tokens that the translation lags behind; negative: 0"})
    k2: int = field(default=3, metadata={"help": "text tokens that the units lag behind; negative: 0"})
    n1: int = field(default=3, metadata={"help": "text tokens written at a time; negative: 1"})
    n2: int = field(
        default=3,
        metadata={"help": "text tokens synthesised at a time; negative: random for each batch"},
    )
    multichunk: bool = field(default=False, metadata={"help": "draw the encoder's chunk size for each batch"})
    post_process: str = field(
        default="sentencepiece",
        metadata={"help": "how text pieces become words, for the word error rates of --report-accuracy"},
    )
    valid_chunk_sizes: str = field(
        default="",
        metadata={
            "help": "chunk sizes to validate at, in encoder frames of 40 ms, such as '8,16,offline'; "
            "default: the smallest and the largest that the model trains with"
        },
    )


@register_criterion("speech_to_unit_2pass_ctc_asr_st", dataclass=SpeechToUnit2PassConfig)
class SpeechToUnit2PassCriterion(FairseqCriterion):
    """Weighted sum of the losses of all outputs of a two-pass model.

    total = unit CTC + sum of weight x loss over the multitasks, each a sum over tokens; weights are the
    multitask configuration's. `loss` is what is minimised: total / units (or sentences with
    `--sentence-avg`). The terms are logged under their own names, each divided by its own tokens:
    `unit_ctc_loss`, `mt_loss` (with label smoothing), `mt_nll_loss`, `asr_ctc_loss`, `st_ctc_loss`. All
    are in bits, as in fairseq.

    For each CTC head, `…_ctc_blank` is the percentage of positions whose best symbol is the blank,
    `…_ctc_emitted` the symbols that the best path emits in 100 positions, and `…_ctc_infeasible` the number
    of targets that are too long to be aligned.

    In training the model draws the chunk size for each batch (`draw_generator`). Validation runs at each
    chunk size of a list, with the streaming mask on, and reports every term at each (`mt_loss_c8`,
    `mt_loss_offline` …); names without a suffix are the mean over the list, `loss` too.

    A model that trains one side only (`--train-side`) has the terms of that side only.

    Reference: StreamSpeech (Zhang et al., ACL 2024), sections 3.2 to 3.4.
    """

    def __init__(
        self,
        task: Any,
        sentence_avg: bool,
        label_smoothing: float,
        ignore_prefix_size: int = 0,
        report_accuracy: bool = False,
        rdrop_alpha: float = 0.0,
        k1: int = 3,
        k2: int = 3,
        n1: int = 3,
        n2: int = 3,
        multichunk: bool = False,
        post_process: str = "sentencepiece",
        valid_chunk_sizes: str = "",
    ) -> None:
        super().__init__(task)
        if ignore_prefix_size:
            raise ValueError("--ignore-prefix-size is not supported: CTC targets have no prefix")
        if n1 == 0 or n2 == 0:
            raise ValueError("--n1 and --n2 must be at least 1, or negative for their default")
        self.sentence_avg = sentence_avg
        self.label_smoothing = label_smoothing
        self.report_accuracy = report_accuracy
        self.rdrop_alpha = rdrop_alpha
        self.k1, self.k2, self.n1, self.n2 = k1, k2, n1, n2
        self.multichunk = multichunk
        self.post_process = post_process
        self.valid_chunk_sizes = parse_chunk_sizes(valid_chunk_sizes) if valid_chunk_sizes else ()
        self.blank = task.target_dictionary.index(task.blank_symbol)
        self.unit_dictionary = task.target_dictionary
        self.configs = {name: text_task.args for name, text_task in task.multitask_tasks.items()}
        self.dictionaries = {
            name: text_task.target_dictionary for name, text_task in task.multitask_tasks.items()
        }
        self.names = metric_names(self.configs)
        self.weights = {name: float(config.get_loss_weight(0)) for name, config in self.configs.items()}
        self.rdrop_alphas = {
            name: float(config.rdrop_alpha or rdrop_alpha) for name, config in self.configs.items()
        }
        self._num_warnings: dict[str, int] = {}

    def set_multitask_loss_weight(self, task_name: str, weight: float = 0.0) -> None:
        """Called by the task at each update; until then the weights are those of update 0."""
        self.weights[task_name] = float(weight)

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """The loss of one batch.

        Returns:
            The loss to minimise (a sum), the sample size to divide it by, and sums for logging.
        """
        statistics = Statistics()
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        if model.training:
            chunk = {}
            if self._is_multi_latency(model):
                chunk = model.draw_training_chunk(draw_generator(sample, "chunk", training=True))
            loss, terms = self._batch_loss(model, sample, chunk, doubled=self._uses_rdrop())
            statistics.merge(terms)
        else:
            losses = []
            for name, chunk in self._validation_chunks(model).items():
                loss, terms = self._batch_loss(model, sample, chunk, doubled=False)
                terms.add_mean("loss", loss, sample_size)
                statistics.merge(terms)
                statistics.merge(terms, suffix=f"_{name}")
                losses.append(loss)
            loss = torch.stack(losses).mean()
        if model.training:
            statistics.add_mean("loss", loss, sample_size)
        output = {
            "ntokens": sample["ntokens"],
            "nsentences": sample["target"].size(0),
            "sample_size": sample_size,
            **statistics.sums,
        }
        return loss, sample_size, output

    def _uses_rdrop(self) -> bool:
        return max([self.rdrop_alpha, *self.rdrop_alphas.values()]) > 0

    def _is_multi_latency(self, model: Any) -> bool:
        """A Conformer trains at several chunk sizes on request, an Emformer by its list of segments."""
        return self.multichunk or hasattr(model.encoder, "segment_lengths")

    def _validation_chunks(self, model: Any) -> dict[str, dict[str, int]]:
        """Arguments of the model's forward for each latency to validate at, by the metrics' suffix."""
        sizes = self.valid_chunk_sizes
        if not sizes and not self._is_multi_latency(model):
            return {chunk_size_name(model.encoder.chunk_size): {}}
        if not sizes:
            trained = model.training_chunk_sizes
            sizes = tuple(sorted({min(trained), max(trained)}))
        return {chunk_size_name(size): {"chunk_size": size} for size in sizes}

    def streaming_config(
        self, num_text_tokens: int, generator: torch.Generator | None = None
    ) -> dict[str, int]:
        """The lags and strides of the training mask; a random n2 is uniform in [1, 1 + num_text_tokens]."""
        n2 = self.n2
        if n2 < 0:
            n2 = int(torch.randint(1, num_text_tokens + 2, (), generator=generator))
        return {
            "k1": max(self.k1, 0),
            "n1": self.n1 if self.n1 > 0 else 1,
            "k2": max(self.k2, 0),
            "n2": n2,
        }

    def _batch_loss(
        self, model: Any, sample: dict[str, Any], chunk: dict[str, Any], *, doubled: bool
    ) -> tuple[Tensor, Statistics]:
        """The total of one forward pass, and its terms; a doubled batch is for R-Drop."""
        mt_name = model.mt_task_name
        net_input = sample["net_input"]
        inputs = {
            "src_tokens": net_input["src_tokens"],
            "src_lengths": net_input["src_lengths"],
            "prev_output_tokens": net_input["prev_output_tokens"],
            "prev_output_tokens_mt": sample["multitask"][mt_name]["net_input"]["prev_output_tokens"],
            "tgt_speaker": net_input.get("tgt_speaker"),
        }
        if doubled:
            inputs = {key: _double(value) for key, value in inputs.items()}
        generator = draw_generator(sample, "mask", training=model.training)
        config = None
        if {"asr", "st"} <= set(self.names.values()):  # the heads that the streaming mask is made of
            config = self.streaming_config(inputs["prev_output_tokens_mt"].size(1), generator)
        logits, extra = model(**inputs, streaming_config=config, return_all_hiddens=True, **chunk)
        statistics = Statistics()
        total = torch.zeros((), device=inputs["src_tokens"].device)
        if model.train_side != "text":
            total = self._unit_loss(logits, extra, sample, statistics, doubled=doubled)
        for name in self.configs if model.train_side != "units" else ():
            if self.weights[name] == 0:
                continue
            term = self._mt_loss if name == mt_name else self._ctc_head_loss
            total = total + self.weights[name] * term(model, name, extra, sample, statistics, doubled=doubled)
        return total, statistics

    def _unit_loss(
        self,
        logits: Tensor,
        extra: dict[str, Any],
        sample: dict[str, Any],
        statistics: Statistics,
        *,
        doubled: bool,
    ) -> Tensor:
        targets, target_lengths = _targets(sample, doubled)
        padding_mask = extra["decoder_padding_mask"]
        if padding_mask is None:
            padding_mask = torch.zeros(logits.shape[:2], dtype=torch.bool, device=logits.device)
        lengths = (~padding_mask).sum(dim=1)
        term = ctc_term(logits, lengths, targets, target_lengths, blank=self.blank)
        self._record_ctc("unit", term, sample, statistics, "raise --ctc-upsample-rate")
        if self.report_accuracy and not self.training:
            ignored = frozenset({self.unit_dictionary.eos()})
            errors = accuracy.ctc_errors(
                logits, lengths, targets, target_lengths, blank=self.blank, ignored=ignored
            )
            statistics.add_rate("uer", *errors)
        if not doubled or self.rdrop_alpha == 0:
            return term.loss
        divergence = rdrop_term(logits, padding_mask)
        statistics.add_mean("unit_rdrop_kl_loss", divergence, lengths.sum() / 2)
        return term.loss + self.rdrop_alpha * divergence

    def _mt_loss(
        self,
        model: Any,
        name: str,
        extra: dict[str, Any],
        sample: dict[str, Any],
        statistics: Statistics,
        *,
        doubled: bool,
    ) -> Tensor:
        logits = extra["mt_decoder_out"][0]
        pad = self.dictionaries[name].pad()
        targets, _ = _targets(sample["multitask"][name], doubled)
        smoothing = float(self.configs[name].config.get("label_smoothing", self.label_smoothing))
        loss, nll_loss = text_term(logits, targets, label_smoothing=smoothing, pad=pad)
        num_tokens = (targets != pad).sum()
        metric = self.names[name]
        statistics.add_mean(f"{metric}_loss", loss, num_tokens)
        statistics.add_mean(f"{metric}_nll_loss", nll_loss, num_tokens)
        if self.report_accuracy and not self.training:
            statistics.add_rate(f"{metric}_token_error", *accuracy.token_errors(logits, targets, pad))
        alpha = self.rdrop_alphas[name]
        if not doubled or alpha == 0:
            return loss
        divergence = rdrop_term(logits, targets == pad)
        statistics.add_mean(f"{metric}_rdrop_kl_loss", divergence, num_tokens / 2)
        return loss + alpha * divergence

    def _ctc_head_loss(
        self,
        model: Any,
        name: str,
        extra: dict[str, Any],
        sample: dict[str, Any],
        statistics: Statistics,
        *,
        doubled: bool,
    ) -> Tensor:
        states, lengths = _encoder_states(extra, self.configs[name].input_layer)
        decoder_out = model.multitask_decoders[name](src_tokens=states, src_lengths=lengths)
        logits = decoder_out["encoder_out"].transpose(0, 1)
        targets, target_lengths = _targets(sample["multitask"][name], doubled)
        dictionary = self.dictionaries[name]
        term = ctc_term(logits, lengths, targets, target_lengths, blank=dictionary.bos())
        metric = self.names[name]
        self._record_ctc(metric, term, sample, statistics, "use a vocabulary with longer pieces")
        if self.report_accuracy and not self.training:
            rows = (logits, lengths, targets, target_lengths)
            statistics.add_rate(f"{metric}_token_error", *accuracy.ctc_errors(*rows, blank=dictionary.bos()))
            words = accuracy.word_errors(*rows, dictionary, self.post_process)
            statistics.add_rate(f"{metric}_word_error", *words)
        alpha = self.rdrop_alphas[name]
        if not doubled or alpha == 0:
            return term.loss
        divergence = rdrop_term(logits, padded_positions(logits, lengths))
        statistics.add_mean(f"{metric}_ctc_rdrop_kl_loss", divergence, lengths.sum() / 2)
        return term.loss + alpha * divergence

    def _record_ctc(
        self, metric: str, term: CTCTerm, sample: dict[str, Any], statistics: Statistics, advice: str
    ) -> None:
        """Log a CTC term; rows that cannot be aligned train nothing, so they are counted and named."""
        statistics.add_mean(f"{metric}_ctc_loss", term.loss, term.num_tokens)
        statistics.add_rate(f"{metric}_ctc_blank", term.num_blank, term.num_positions)
        statistics.add_rate(f"{metric}_ctc_emitted", term.num_emitted, term.num_positions)
        statistics.add_number(f"{metric}_ctc_infeasible", term.infeasible.sum())
        count = self._num_warnings.get(metric, 0)
        if count < _MAX_WARNINGS and bool(term.infeasible.any()):
            self._num_warnings[metric] = count + 1
            ids = sample["id"].repeat(term.infeasible.numel() // sample["id"].numel())
            logger.warning(
                f"{metric} CTC: the target is longer than the model's positions for the utterances with "
                f"index {ids[term.infeasible.to(ids.device)].unique().tolist()}, which this loss leaves out; "
                f"{advice} or remove them"
            )

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Make metrics of the batches' sums."""
        log_metrics(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Every entry is a sum."""
        return True


def draw_generator(sample: dict[str, Any], purpose: str, *, training: bool) -> torch.Generator:
    """Random numbers for what is drawn once for a batch: the chunk size and the stride of the mask.

    They depend on the utterances of the batch and, in training, on the seed and the update (with which
    fairseq seeds torch at each update). So the ranks draw apart from each other, which covers more latencies
    in an update; an update draws the same however many processes share it; a resumed run repeats its
    draws; and all validations, at all chunk sizes, use the same mask.
    """
    words = [int(sample["id"].sum()), zlib.crc32(purpose.encode())]
    if training:
        words.append(torch.initial_seed())
    seed = zlib.crc32(repr(words).encode())  # 32 bits are all that torch's generator on CPU uses
    return torch.Generator().manual_seed(seed)


def metric_names(configs: dict[str, Any]) -> dict[str, str]:
    """How the metrics call each multitask: mt, asr, st, or its own name.

    Raises:
        ValueError: for a multitask that this criterion cannot train.
    """
    names: dict[str, str] = {}
    for name, config in configs.items():
        if config.input_from != "encoder":
            raise ValueError(f"multitask {name}: decoder_layer is not supported, CTC heads read the encoder")
        if config.decoder_type == "transformer":
            kind = "mt"
        else:
            kind = "asr" if name.startswith("source") else "st" if "target" in name else name
        names[name] = kind if kind not in names.values() else name
    return names


def _double(value: Tensor | None) -> Tensor | None:
    return None if value is None else torch.cat([value, value])


def _targets(data: dict[str, Any], doubled: bool) -> tuple[Tensor, Tensor]:
    targets, lengths = data["target"], data["target_lengths"]
    return (torch.cat([targets, targets]), torch.cat([lengths, lengths])) if doubled else (targets, lengths)


def _encoder_states(extra: dict[str, Any], layer: int) -> tuple[Tensor, Tensor]:
    """States `[T, B, C]` of an encoder layer (-1: the output) and the valid frames `[B]`."""
    encoder_out = extra["encoder_out"]
    states = encoder_out["encoder_out"][0] if layer == -1 else extra["encoder_states"][layer]
    padding = encoder_out["encoder_padding_mask"]
    if padding:
        return states, (~padding[0]).sum(dim=1)
    return states, torch.full((states.shape[1],), states.shape[0], dtype=torch.long, device=states.device)
