"""A two-pass model of a few weights, and the task and batches that the criterion needs."""

from argparse import Namespace
from typing import Any

import torch
from fairseq.data import Dictionary
from torch import Tensor, nn

NUM_UNITS = 6
NUM_PIECES = 5
DIM = 8


def make_dictionary(symbols: list[str]) -> Dictionary:
    dictionary = Dictionary()
    for symbol in symbols:
        dictionary.add_symbol(symbol)
    return dictionary


class TextTask:
    """A multitask as the task holds it."""

    def __init__(self, name: str, config: dict[str, Any], dictionary: Dictionary) -> None:
        self.target_dictionary = dictionary
        self.args = Namespace(
            task_name=name,
            config=config,
            decoder_type=config["decoder_type"],
            input_from=config.get("input_from", "encoder"),
            input_layer=-1,
            rdrop_alpha=config.get("rdrop_alpha", 0.0),
            get_loss_weight=lambda _: config["loss_weight"],
        )


class FakeTask:
    """The task's side of the criterion."""

    blank_symbol = "<blank>"

    def __init__(self, **changes: Any) -> None:
        self.target_dictionary = make_dictionary([*map(str, range(NUM_UNITS)), "<blank>"])
        pieces = make_dictionary([f"▁p{index}" for index in range(NUM_PIECES)])
        shared = {"label_smoothing": 0.1, **changes}
        configs = {
            "target_unigram": {"decoder_type": "transformer", "loss_weight": 8.0, **shared},
            "source_unigram": {"decoder_type": "ctc", "loss_weight": 4.0, **shared},
            "ctc_target_unigram": {"decoder_type": "ctc", "loss_weight": 3.0, **shared},
        }
        self.multitask_tasks = {name: TextTask(name, config, pieces) for name, config in configs.items()}


class CTCHead(nn.Module):
    def __init__(self, num_symbols: int) -> None:
        super().__init__()
        self.proj = nn.Linear(DIM, num_symbols)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> dict[str, Tensor]:
        return {"encoder_out": self.proj(src_tokens)}


class FakeEncoder(nn.Module):
    chunk_size = 8
    segment_lengths: tuple[int, ...]


class FakeModel(nn.Module):
    """Everything is a linear map of the source; it remembers how it was called."""

    mt_task_name = "target_unigram"
    training_chunk_sizes: tuple[int, ...] = (8, 16, 999)
    multitask_decoders: dict[str, Any]

    def __init__(self, *, rate: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = FakeEncoder()
        self.frames = nn.Linear(80, DIM)
        self.text = nn.Embedding(4 + NUM_PIECES, DIM)
        self.text_out = nn.Linear(DIM, 4 + NUM_PIECES)
        self.units_out = nn.Linear(DIM, 4 + NUM_UNITS + 1)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {name: CTCHead(4 + NUM_PIECES) for name in ("source_unigram", "ctc_target_unigram")}
        )
        self.multitask_decoders = dict(self.heads.items())
        self.rate = rate
        self.train_side = "both"
        self.calls: list[dict[str, Any]] = []

    def draw_training_chunk(self, generator: torch.Generator | None = None) -> dict[str, int]:
        choice = int(torch.randint(len(self.training_chunk_sizes), (1,), generator=generator))
        return {"chunk_size": self.training_chunk_sizes[choice], "conv_chunk_size": 8}

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        prev_output_tokens_mt: Tensor,
        streaming_config: dict[str, int] | None = None,
        tgt_speaker: Tensor | None = None,
        return_all_hiddens: bool = False,
        chunk_size: int | None = None,
        conv_chunk_size: int | None = None,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        self.calls.append(
            {"streaming_config": streaming_config, "chunk_size": chunk_size, "rows": len(src_tokens)}
        )
        states = self.dropout(self.frames(src_tokens[:, ::4])).transpose(0, 1)
        if chunk_size is not None:
            states = states + 0.01 * chunk_size / 999
        lengths = (src_lengths + 3) // 4
        padding = torch.arange(states.shape[0]) >= lengths.unsqueeze(1)
        features = self.dropout(
            self.text(prev_output_tokens_mt) + states.mean(dim=0, keepdim=True).transpose(0, 1)
        )
        text_padding = prev_output_tokens_mt.eq(1)
        units, unit_extra = None, {}
        if self.train_side != "text":
            units = self.units_out(features.repeat_interleave(self.rate, dim=1))
            unit_extra = {"decoder_padding_mask": text_padding.repeat_interleave(self.rate, dim=1)}
        return units, {
            **unit_extra,
            "mt_decoder_out": (self.text_out(features), {}),
            "encoder_out": {
                "encoder_out": [states],
                "encoder_padding_mask": [padding] if padding.any() else [],
            },
            "encoder_states": [states],
        }


def make_batch() -> dict[str, Any]:
    """Two utterances of 40 and 32 frames."""
    torch.manual_seed(3)
    pad, eos = 1, 2
    texts = torch.tensor([[4, 5, 6], [7, 8, pad]])
    mt_target = torch.tensor([[4, 5, 6, eos], [7, 8, eos, pad]])
    mt_input = torch.tensor([[eos, 4, 5, 6], [eos, 7, 8, pad]])
    units = torch.tensor([[4, 5, 5, 6, eos], [7, 8, eos, pad, pad]])
    text = {"target": texts, "target_lengths": torch.tensor([3, 2]), "ntokens": 5, "net_input": {}}
    return {
        "id": torch.tensor([10, 11]),
        "net_input": {
            "src_tokens": torch.randn(2, 40, 80),
            "src_lengths": torch.tensor([40, 32]),
            "prev_output_tokens": units,
        },
        "target": units,
        "target_lengths": torch.tensor([5, 3]),
        "ntokens": 8,
        "nsentences": 2,
        "multitask": {
            "target_unigram": {
                "target": mt_target,
                "target_lengths": torch.tensor([4, 3]),
                "ntokens": 7,
                "net_input": {"prev_output_tokens": mt_input},
            },
            "source_unigram": text,
            "ctc_target_unigram": text,
        },
    }
