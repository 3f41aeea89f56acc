"""The text half of a two-pass model in the shape that fairseq's beam search expects."""

from typing import Any

import torch
from fairseq.models import BaseFairseqModel
from torch import Tensor, nn


class _KnownEncoder(nn.Module):
    """Gives the encoder output that comes with the batch, so that it is computed once for all outputs."""

    def forward_torchscript(self, net_input: dict[str, Any]) -> dict[str, Any]:
        encoder_out: dict[str, Any] = net_input["encoder_out"]
        return encoder_out

    def reorder_encoder_out(self, encoder_out: dict[str, Any], new_order: Tensor) -> dict[str, Any]:
        states = [states.index_select(1, new_order) for states in encoder_out["encoder_out"]]
        padding = [mask.index_select(0, new_order) for mask in encoder_out["encoder_padding_mask"]]
        return {**encoder_out, "encoder_out": states, "encoder_padding_mask": padding}


class TextModel(nn.Module):
    """Adapter of a two-pass model for `fairseq.sequence_generator.SequenceGenerator`.

    Args:
        model: its text decoder becomes this module's `decoder`, with fairseq's incremental state.
    """

    def __init__(self, model: BaseFairseqModel) -> None:
        super().__init__()
        self.encoder = _KnownEncoder()
        self.decoder = getattr(model, f"{model.mt_task_name}_decoder")

    def max_decoder_positions(self) -> int:
        """Longest text that the decoder's positions allow."""
        longest: int = self.decoder.max_positions()
        return longest

    def get_normalized_probs(
        self, net_output: tuple[Tensor, Any], log_probs: bool, sample: dict[str, Any] | None = None
    ) -> Tensor:
        """Probabilities of the next token in float32."""
        logits = net_output[0].float()
        return torch.log_softmax(logits, dim=-1) if log_probs else torch.softmax(logits, dim=-1)
