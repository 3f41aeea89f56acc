"""First pass of one stream: the translation's subwords, each decided once and for good."""

import torch
from torch import Tensor

from echostream.inference.encoder_stream import as_encoder_out
from echostream.inference.interfaces import TranslationModel
from echostream.inference.vocabulary import Vocabulary
from echostream.policy.read_write import count_complete


class TextDecoder:
    """Greedy decoding with a committed prefix; every token goes on seeing the frames that it first saw.

    That is what the training mask says: the decoder position that predicts token i attends to the first g(i)
    encoder frames. Hence later audio changes no committed token and no feature of one.

    Dimensions: N tokens, C decoder channels, T' encoder frames.

    Args:
        model: gives `decode_text`.
        vocabulary: of the translation.
        max_tokens: longest translation.
    """

    def __init__(self, model: TranslationModel, vocabulary: Vocabulary, *, max_tokens: int) -> None:
        if max_tokens < 1:
            raise ValueError(f"the longest translation must be at least one token, got {max_tokens}")
        self.model = model
        self.vocabulary = vocabulary
        self.max_tokens = max_tokens
        self.reset()

    def reset(self) -> None:
        """Start a new translation."""
        self.tokens: list[int] = []
        self.visible_frames: list[int] = []
        self.features: Tensor | None = None  # [N, 1, C], one position for each token, and one more after eos
        self.finished = False

    def extend(self, frames: Tensor, max_subwords: int | None, *, drops_incomplete_word: bool = False) -> int:
        """Decode further tokens with the encoder frames `[T', 1, C]` known now.

        Args:
            frames: all encoder frames so far, T' >= 1.
            max_subwords: total number of tokens to reach; None decodes to the end of the sentence.
            drops_incomplete_word: keep complete words only.
        Returns:
            number of new tokens.
        """
        num_before = len(self.tokens)
        is_flush = max_subwords is None
        limit = self.max_tokens if max_subwords is None else min(max_subwords, self.max_tokens)
        tokens = list(self.tokens)
        visible = list(self.visible_frames)
        features = self.features
        while len(tokens) < limit:
            logits, features = self._decode(frames, tokens, [*visible, frames.size(0)])
            token = self._best(logits, first=not tokens)
            if token == self.vocabulary.eos:
                self.finished = is_flush
                break
            tokens.append(token)
            visible.append(frames.size(0))
        if drops_incomplete_word and not is_flush:
            keep = max(num_before, count_complete([self.vocabulary.symbols[token] for token in tokens]))
            tokens = tokens[:keep]
        self.tokens = tokens
        self.visible_frames = visible[: len(tokens)]
        num_positions = len(tokens) + int(self.finished)
        self.features = None if features is None else features[:num_positions]
        return len(tokens) - num_before

    def _decode(self, frames: Tensor, tokens: list[int], visible: list[int]) -> tuple[Tensor, Tensor]:
        previous = torch.tensor([[self.vocabulary.eos, *tokens]], device=frames.device)
        seen = torch.tensor([visible], device=frames.device)
        return self.model.decode_text(previous, as_encoder_out(frames), visible_frames=seen)

    def _best(self, logits: Tensor, *, first: bool) -> int:
        scores = logits[0, -1].float()
        banned = [self.vocabulary.pad, self.vocabulary.bos]
        if first:
            banned.append(self.vocabulary.eos)  # a translation has at least one token
        scores[banned] = -torch.inf
        return int(scores.argmax())
