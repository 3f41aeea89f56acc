"""Error rates of greedy outputs under teacher forcing, for `--report-accuracy`."""

import editdistance
import torch
from fairseq.data import Dictionary
from fairseq.data.data_utils import post_process
from torch import Tensor

from echostream.policy.ctc_alignment import collapse


def ctc_greedy(logits: Tensor, length: int, blank: int) -> list[int]:
    """Best path of one row `[T, V]`: repeats and blanks removed."""
    symbols: list[int] = collapse(logits[:length].argmax(dim=-1), blank).tolist()
    return symbols


def ctc_errors(
    logits: Tensor,
    input_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    *,
    blank: int,
    ignored: frozenset[int] = frozenset(),
) -> tuple[int, int]:
    """Edit distance of the best paths to the targets, and the targets' length.

    Args:
        logits: `[B, T, V]`.
        input_lengths: `[B]`.
        targets: `[B, N]`.
        target_lengths: `[B]`.
        blank: index of the blank.
        ignored: symbols left out on both sides, such as end-of-sentence.
    """
    errors = total = 0
    for row, (length, target_length) in enumerate(
        zip(input_lengths.tolist(), target_lengths.tolist(), strict=True)
    ):
        reference = [symbol for symbol in targets[row, :target_length].tolist() if symbol not in ignored]
        found = [symbol for symbol in ctc_greedy(logits[row], length, blank) if symbol not in ignored]
        errors += editdistance.eval(found, reference)
        total += len(reference)
    return errors, total


def word_errors(
    logits: Tensor,
    input_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    dictionary: Dictionary,
    symbol: str,
) -> tuple[int, int]:
    """Word edit distance of a text CTC head, and the number of reference words.

    Args:
        symbol: how pieces become words (`--post-process`), such as "sentencepiece".
    """
    errors = total = 0
    for row, (length, target_length) in enumerate(
        zip(input_lengths.tolist(), target_lengths.tolist(), strict=True)
    ):
        found = ctc_greedy(logits[row], length, dictionary.bos())
        reference = targets[row, :target_length].tolist()
        words = [
            post_process(" ".join(dictionary[token] for token in tokens), symbol).split()
            for tokens in (found, reference)
        ]
        errors += editdistance.eval(*words)
        total += len(words[1])
    return errors, total


def token_errors(logits: Tensor, targets: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """Wrong next tokens of a text decoder under teacher forcing, and the number of tokens."""
    valid = targets != pad
    wrong = (logits.argmax(dim=-1) != targets) & valid
    return torch.sum(wrong), torch.sum(valid)
