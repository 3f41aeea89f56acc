"""Offline two-pass decoding for fairseq-generate: text by search, units by CTC."""

import dataclasses
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import BaseFairseqModel
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from echostream.policy.ctc_alignment import best_labels, greedy_new_tokens
from echostream.policy.read_write import WORD_START
from echostream.tasks.chunk_sizes import parse_chunk_size
from echostream.tasks.text_output import TextOutput, Texts
from echostream.tasks.text_search import TextModel

_NUM_SPECIAL = 4  # <s> <pad> </s> <unk>
_DEFAULT_MAX_LEN_B = 200


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How the text decoder searches, and the encoder's chunk size in frames (None: the model's own)."""

    beam: int = 1
    max_len_a: float = 0.0
    max_len_b: int = _DEFAULT_MAX_LEN_B
    min_len: int = 1
    len_penalty: float = 1.0
    unk_penalty: float = 0.0
    normalize_scores: bool = True
    temperature: float = 1.0
    no_repeat_ngram_size: int = 0
    chunk_size: int | None = None

    @classmethod
    def from_generation_config(cls, args: Any, gen_chunk_size: str) -> "SearchOptions":
        """From fairseq's generation arguments.

        CTC needs no beam and no length limit for the units, so `--beam`, `--max-len-a`, `--max-len-b` and
        `--lenpen` are the text decoder's; their twins `--beam-mt`, `--max-len-a-mt` … win where given.

        Raises:
            ValueError: for an option that this generator does not have.
        """
        unsupported = {
            "--nbest": getattr(args, "nbest", 1) != 1,
            "--prefix-size": getattr(args, "prefix_size", 0) != 0,
            "--constraints": bool(getattr(args, "constraints", None)),
            "--sampling": bool(getattr(args, "sampling", False)),
            "--diverse-beam-groups": getattr(args, "diverse_beam_groups", -1) > 0,
            "--score-reference": bool(getattr(args, "score_reference", False)),
            "--print-alignment": bool(getattr(args, "print_alignment", None)),
        }
        for flag, given in unsupported.items():
            if given:
                raise ValueError(f"{flag} is not supported by the two-pass generator")
        max_len_b_mt = getattr(args, "max_len_b_mt", _DEFAULT_MAX_LEN_B)
        max_len_b = (
            max_len_b_mt if max_len_b_mt != _DEFAULT_MAX_LEN_B else getattr(args, "max_len_b", max_len_b_mt)
        )
        lenpen_mt = getattr(args, "lenpen_mt", 1.0)
        return cls(
            beam=getattr(args, "beam_mt", 0) or getattr(args, "beam", 1),
            max_len_a=getattr(args, "max_len_a_mt", 0) or getattr(args, "max_len_a", 0),
            max_len_b=max_len_b,
            min_len=getattr(args, "min_len", 1),
            len_penalty=lenpen_mt if lenpen_mt != 1 else getattr(args, "lenpen", 1.0),
            unk_penalty=getattr(args, "unkpen", 0.0),
            normalize_scores=not getattr(args, "unnormalized", False),
            temperature=getattr(args, "temperature", 1.0),
            no_repeat_ngram_size=getattr(args, "no_repeat_ngram_size", 0),
            chunk_size=None if gen_chunk_size == "model" else parse_chunk_size(gen_chunk_size),
        )


def ctc_best_path(log_probs: Tensor, blank: int, blank_penalty: float = 0.0) -> tuple[Tensor, Tensor]:
    """The most probable symbol of each position, repeats and blanks removed.

    Args:
        log_probs: `[T, V]` of one utterance's valid positions.
        blank: index of the blank.
        blank_penalty: subtracted from the blank's log-probability.
    Returns:
        Symbols `[N]` and the log-probability of each at its first position `[N]`.
    """
    symbols = best_labels(log_probs, blank, blank_penalty)
    scores = log_probs.gather(-1, symbols.unsqueeze(-1)).squeeze(-1)
    kept = greedy_new_tokens(symbols.unsqueeze(0), blank)[0]
    return symbols[kept], scores[kept]


def detokenize(symbols: list[str]) -> str:
    """Text of sentencepiece pieces."""
    return "".join(symbols).replace(WORD_START, " ").strip()


class TwoPassGenerator:
    """Recognition and translation by CTC, translation by beam search, units by CTC from that text.

    The encoder runs once, with the chunk size of the options.

    Dimensions: B batch, T encoder frames (40 ms), N text tokens with the leading end-of-sentence, V symbols.

    Args:
        models: exactly one two-pass model.
        unit_dictionary: with `<blank>`.
        text_dictionaries: by multitask name.
        blank: index of the unit blank.
        options: search and chunk size.
        output: where the texts go.
        use_bf16: run the model in bfloat16.
        unit_blank_penalty: subtracted from the log-probability of the units' blank.
        force_reference_text: units of the reference text instead of the searched one, which shows what text
            to unit does by itself.
    """

    def __init__(
        self,
        models: list[BaseFairseqModel],
        *,
        unit_dictionary: Dictionary,
        text_dictionaries: dict[str, Dictionary],
        blank: int,
        options: SearchOptions,
        output: TextOutput,
        use_bf16: bool = False,
        unit_blank_penalty: float = 0.0,
        force_reference_text: bool = False,
    ) -> None:
        if len(models) != 1:
            raise ValueError(f"the two-pass generator takes one model, not an ensemble of {len(models)}")
        self.model = models[0].to(torch.bfloat16) if use_bf16 else models[0]
        self.model.eval()
        self.unit_dictionary = unit_dictionary
        self.text_dictionaries = text_dictionaries
        self.text_dictionary = text_dictionaries[self.model.mt_task_name]
        self.blank = blank
        self.options = options
        self.output = output
        self.unit_blank_penalty = unit_blank_penalty
        self.force_reference_text = force_reference_text
        self.symbols_to_strip_from_output = {unit_dictionary.eos(), blank}
        self.search = self._build_search()

    def _build_search(self) -> SequenceGenerator:
        options = self.options
        return SequenceGenerator(
            [TextModel(self.model)],
            self.text_dictionary,
            beam_size=options.beam,
            max_len_a=options.max_len_a,
            max_len_b=options.max_len_b,
            min_len=options.min_len,
            normalize_scores=options.normalize_scores,
            len_penalty=options.len_penalty,
            unk_penalty=options.unk_penalty,
            temperature=options.temperature,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
        )

    @torch.no_grad()
    def generate(
        self,
        models: list[BaseFairseqModel],
        sample: dict[str, Any],
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Translate one batch, and give out its texts.

        Args:
            models: as given at construction.
            sample: a collated batch; of its targets, only reference text is looked at, where it is forced.
            prefix_tokens: must be None.
            constraints: must be None.
        Returns:
            For each utterance a list of one hypothesis: fairseq's keys for the units, and `texts`.
        """
        if prefix_tokens is not None or constraints is not None:
            raise ValueError("the two-pass generator takes neither prefix tokens nor constraints")
        net_input = sample["net_input"]
        source = net_input["src_tokens"].to(next(self.model.parameters()).dtype)
        lengths = net_input["src_lengths"]
        encoder_out = self.model.forward_encoder(source, lengths, chunk_size=self.options.chunk_size)
        texts = self._recognise(encoder_out)
        if self.force_reference_text:
            tokens = self._reference(sample)
        else:
            tokens = self._translate(source, lengths, encoder_out)
        units = self._synthesise(tokens, encoder_out)
        hypotheses = []
        for row, index in enumerate(sample["id"].tolist()):
            symbols, scores = units[row]
            unit_text = " ".join(self.unit_dictionary[symbol] for symbol in symbols.tolist())
            translation = self._pieces(tokens[row], self.text_dictionary)
            result = Texts(asr=texts["asr"][row], st_ctc=texts["st"][row], mt=translation, units=unit_text)
            self.output.write(index, result)
            hypotheses.append([self._hypothesis(symbols, scores, result)])
        return hypotheses

    def _hypothesis(self, symbols: Tensor, scores: Tensor, texts: Texts) -> dict[str, Any]:
        """fairseq's hypothesis; like every one it ends with end-of-sentence, which its scorer relies on."""
        return {
            "tokens": torch.cat([symbols, symbols.new_tensor([self.unit_dictionary.eos()])]),
            "score": float(scores.mean()) if scores.numel() else 0.0,
            "positional_scores": torch.cat([scores, scores.new_zeros(1)]),
            "attention": None,
            "alignment": None,
            "texts": texts,
        }

    def _recognise(self, encoder_out: dict[str, Any]) -> dict[str, list[str]]:
        """Best paths of both CTC heads; a head that the model lacks gives empty texts."""
        states = encoder_out["encoder_out"][0]
        padding = encoder_out["encoder_padding_mask"]
        num_frames, batch_size = states.shape[:2]
        lengths = (~padding[0]).sum(dim=1).tolist() if padding else [num_frames] * batch_size
        result: dict[str, list[str]] = {}
        for key, marker in (("asr", "source"), ("st", "ctc_target")):
            name = next((name for name in self.text_dictionaries if name.startswith(marker)), None)
            if name is None:
                result[key] = [""] * batch_size
                continue
            dictionary = self.text_dictionaries[name]
            logits = self.model.asr_logits(encoder_out) if key == "asr" else self.model.st_logits(encoder_out)
            log_probs = logits.float().log_softmax(dim=-1)
            result[key] = [
                self._pieces(ctc_best_path(log_probs[row, : lengths[row]], dictionary.bos())[0], dictionary)
                for row in range(batch_size)
            ]
        return result

    def _reference(self, sample: dict[str, Any]) -> list[Tensor]:
        """Tokens of each reference text, without the final end-of-sentence."""
        silent = (self.text_dictionary.pad(), self.text_dictionary.eos())
        targets = sample["multitask"][self.model.mt_task_name]["target"]
        return [row[(row != silent[0]) & (row != silent[1])] for row in targets]

    def _translate(self, source: Tensor, lengths: Tensor, encoder_out: dict[str, Any]) -> list[Tensor]:
        """Tokens of the best hypothesis of each utterance, without the final end-of-sentence."""
        net_input = {"src_tokens": source, "src_lengths": lengths, "encoder_out": encoder_out}
        found = self.search.generate([], {"net_input": net_input})
        eos = self.text_dictionary.eos()
        return [hypotheses[0]["tokens"][hypotheses[0]["tokens"] != eos] for hypotheses in found]

    def _synthesise(self, tokens: list[Tensor], encoder_out: dict[str, Any]) -> list[tuple[Tensor, Tensor]]:
        """Units of each utterance, from the text decoder's states over the searched text."""
        device = encoder_out["encoder_out"][0].device
        num_tokens = [1 + len(row) for row in tokens]
        shape = (len(tokens), max(num_tokens))
        prefix = torch.full(shape, self.text_dictionary.pad(), dtype=torch.long, device=device)
        prefix[:, 0] = self.text_dictionary.eos()
        for row, text in enumerate(tokens):
            prefix[row, 1 : 1 + len(text)] = text.to(device)
        padding_mask = prefix.eq(self.text_dictionary.pad())
        _, features = self.model.decode_text(prefix, encoder_out)
        logits = self.model.text_to_units(features, padding_mask if padding_mask.any() else None)
        log_probs = logits.float().log_softmax(dim=-1)
        rate = log_probs.shape[1] // prefix.shape[1]
        results = []
        for row, count in enumerate(num_tokens):
            symbols, scores = ctc_best_path(
                log_probs[row, : count * rate], self.blank, self.unit_blank_penalty
            )
            is_unit = symbols >= _NUM_SPECIAL
            results.append((symbols[is_unit], scores[is_unit]))
        return results

    @staticmethod
    def _pieces(tokens: Tensor, dictionary: Dictionary) -> str:
        silent = {dictionary.bos(), dictionary.pad(), dictionary.eos()}
        return detokenize([dictionary[token] for token in tokens.tolist() if token not in silent])
