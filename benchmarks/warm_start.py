"""What each part of a warm start is worth: `python -m benchmarks.warm_start`; one thread, about 10 minutes.

A small Conformer is trained on synthetic speech, and Emformers go on from parts of it. In this speech a word
is three noisy spectra of random lengths. The source text is the words; the target text depends on each word
and on the one before it, so that it needs attention. The losses are CTC per word on held-out speech, in
chunks of 320 ms, for both text heads.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.random_models import ModelSize, random_model
from echostream.data.fbank import NUM_MEL_BINS
from echostream.models.interop.conformer_to_emformer import (
    FRONT_END,
    TARGET_LAYERS,
    Transfer,
    front_end_transfers,
    layer_transfers,
    same_names,
)
from echostream.vocoder.training_config import PRESETS as VOCODER_PRESETS

NUM_WORDS, FIRST_WORD = 36, 4
CHUNK_ENCODER_FRAMES = 8
SIZES = {
    "encoder_embed_dim": 64,
    "encoder_ffn_embed_dim": 256,
    "encoder_attention_heads": 4,
    "conv_version": "s2t_transformer",
    "conv_channels": 128,
    "decoder_embed_dim": 32,
    "decoder_ffn_embed_dim": 64,
    "decoder_attention_heads": 2,
    "decoder_layers": 1,
    "translation_decoder_layers": 1,
    "synthesizer_encoder_layers": 1,
}
CONFORMER = {"encoder_layers": 6, "attn_type": "espnet", "pos_enc_type": "rel_pos", "chunk_size": 8}
EMFORMER = {"encoder_layers": 8, "segment_length": 8, "segment_lengths": "8", "input_projection": True}
SIZE = ModelSize(
    FIRST_WORD + NUM_WORDS,
    20,
    "",
    {"streamspeech": {**SIZES, **CONFORMER}, "echostream": {**SIZES, **EMFORMER}},
    VOCODER_PRESETS["mini"],
)


@dataclass(frozen=True)
class Batch:
    """fbank [B, T, 80], its lengths [B], for each head the words of all rows, and the words in a row [B]."""

    fbank: Tensor
    lengths: Tensor
    texts: tuple[Tensor, Tensor]
    num_words: Tensor


class Speech:
    """Batches of synthetic speech, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        shapes = torch.Generator().manual_seed(0)
        self.spectra = torch.randn(NUM_WORDS, 3, NUM_MEL_BINS, generator=shapes)
        self.generator = torch.Generator().manual_seed(seed)

    def _draw(self, low: int, high: int, count: int = 1) -> Tensor:
        return torch.randint(low, high, (count,), generator=self.generator)

    def batch(self, size: int) -> Batch:
        """Draw a batch."""
        rows, sources, targets = [], [], []
        for _ in range(size):
            words = self._draw(0, NUM_WORDS, int(self._draw(5, 10)))
            before = torch.cat([torch.zeros(1, dtype=torch.long), words[:-1]])
            parts = [torch.zeros(int(self._draw(0, 10)), NUM_MEL_BINS)]
            parts += [
                spectrum.expand(int(self._draw(4, 9)), -1)
                for word in words
                for spectrum in self.spectra[word]
            ]
            clean = torch.cat(parts)
            rows.append(clean + torch.randn(clean.shape, generator=self.generator))
            sources.append(FIRST_WORD + words)
            targets.append(FIRST_WORD + (words + before) % NUM_WORDS)
        return Batch(
            torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            torch.tensor([len(row) for row in rows]),
            (torch.cat(sources), torch.cat(targets)),
            torch.tensor([len(words) for words in sources]),
        )


def losses(model: Any, batch: Batch) -> Tensor:
    """CTC loss per word of the two text heads, [2]."""
    encoder_out = model.forward_encoder(batch.fbank, batch.lengths, chunk_size=CHUNK_ENCODER_FRAMES)
    lengths = (batch.lengths + 3) // 4
    heads = (model.asr_logits(encoder_out), model.st_logits(encoder_out))
    return torch.stack(
        [
            functional.ctc_loss(
                logits.log_softmax(-1).transpose(0, 1), words, lengths, batch.num_words, reduction="sum"
            )
            / batch.num_words.sum()
            for logits, words in zip(heads, batch.texts, strict=True)
        ]
    )


@torch.no_grad()
def held_out(model: Any) -> list[float]:
    """The same losses on speech that no training draws."""
    model.eval()
    speech = Speech(99)
    return torch.stack([losses(model, speech.batch(16)) for _ in range(4)]).mean(dim=0).tolist()


def train(model: Any, num_updates: int, *, every: int) -> Iterator[tuple[int, list[float]]]:
    """Train, and give the losses on held-out speech after every so many updates, 0 among them."""
    model.requires_grad_(True)
    speech = Speech(1)
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: min(1.0, (update + 1) / 50))
    for update in range(num_updates + 1):
        if update % every == 0:
            yield update, held_out(model)
        model.train()
        optimizer.zero_grad()
        losses(model, speech.batch(8)).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        warm_up.step()


def variants(source: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, list[Transfer]]:
    """Warm starts, from nothing to everything."""
    heads = same_names(source, [name for name in target if not name.startswith("encoder.")])
    front = front_end_transfers(source, target)
    subsampler = [item for item in front if item.target.startswith(FRONT_END[0])]
    layers = layer_transfers(source, target)
    feed_forward = [item for item in layers if ".attention." not in item.target.removeprefix(TARGET_LAYERS)]
    return {
        "nothing": [],
        "heads": heads,
        "heads, layers": heads + layers,
        "heads, subsampler, layers": heads + subsampler + layers,
        "heads, subsampler, projection, layers without attention": heads + front + feed_forward,
        "heads, subsampler, projection, layers": heads + front + layers,
    }


def main() -> None:
    """Print a table of losses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source-updates", type=int, default=1500)
    parser.add_argument("--updates", type=int, default=300)
    args = parser.parse_args()
    torch.set_num_threads(1)
    conformer: Any = random_model("streamspeech", SIZE).model
    for update, values in train(conformer, args.source_updates, every=args.source_updates):
        print(f"Conformer after {update} updates: ASR {values[0]:.3f}, ST {values[1]:.3f}", flush=True)
    source = {name: value.detach() for name, value in conformer.state_dict().items()}
    empty: Any = random_model("echostream", SIZE, seed=5).model
    for name, transfers in variants(source, empty.state_dict()).items():
        model: Any = random_model("echostream", SIZE, seed=5).model
        weights = model.state_dict()
        for item in transfers:
            weights[item.target].copy_(item.value)
        for update, values in train(model, args.updates, every=100):
            print(f"| {name} | {update} | {values[0]:.3f} | {values[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
