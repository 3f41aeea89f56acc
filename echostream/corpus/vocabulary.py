"""Subword vocabularies: sentencepiece models and fairseq dictionaries.

    python -m echostream.corpus.vocabulary --text fr.txt --vocab-size 6000 --prefix src_unigram/spm_unigram_fr

Ids 0 to 3 are <s>, <pad>, </s>, <unk>, as in fairseq, whose dictionary file leaves them out. The blank of
the CTC text heads is <s>.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import sentencepiece

from echostream.corpus.steps import write_text

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
VOCAB_TYPES = ("unigram", "bpe")
# Letters that get a piece of their own even where a small training text lacks them.
ALPHABETS = {
    "fr": "abcdefghijklmnopqrstuvwxyzàâçèéêëîïôùûüœ'",
    "en": "abcdefghijklmnopqrstuvwxyz'",
}


def _train(sentences: Sequence[str], vocab_size: int, vocab_type: str, required_characters: str) -> bytes:
    model = io.BytesIO()
    # Sentences and model are passed in memory: file names would be written into the model and make it differ.
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type=vocab_type,
        vocab_size=vocab_size,
        character_coverage=1.0,
        required_chars=required_characters,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def flatten_word_counts(sentences: Iterable[str], power: float) -> list[str]:
    """Words instead of sentences: each as often as its count to this power, at least once.

    With a power below one, a vocabulary trained on them is more of what words share than of what is frequent.
    """
    counts = Counter(word for sentence in sentences for word in sentence.split())
    return [word for word, count in sorted(counts.items()) for _ in range(max(1, round(count**power)))]


def train_vocabulary(
    sentences: Iterable[str],
    vocab_size: int,
    prefix: Path,
    *,
    vocab_type: str = "unigram",
    required_characters: str = "",
    log: Callable[[str], None] = print,
) -> int:
    """Train a sentencepiece model and write PREFIX.model, PREFIX.vocab and the fairseq dictionary PREFIX.txt.

    Args:
        sentences: the training text; the same text always gives the same files.
        vocab_size: how many pieces, the four special ones included. A small text that cannot fill them
            gets as many as possible.
        prefix: path without its ending.
        vocab_type: one of VOCAB_TYPES.
        required_characters: characters that get a piece in any case.
        log: told when the vocabulary is smaller than asked for.

    Returns:
        The size of the vocabulary, special pieces included.

    Raises:
        ValueError: there is no text, or the size does not suffice for the characters alone.
    """
    texts = [sentence for sentence in sentences if sentence.strip()]
    if not texts:
        raise ValueError(f"no text to train the vocabulary {prefix} on")
    size = vocab_size
    while True:
        try:
            content = _train(texts, size, vocab_type, required_characters)
            break
        except RuntimeError as error:
            most = re.search(r"value <= (\d+)", str(error))
            if most and int(most.group(1)) < size:
                size = int(most.group(1))
                continue
            small = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
            if small:
                least = int(small.group(1))
                raise ValueError(
                    f"a vocabulary of {vocab_size} cannot hold all characters: give at least {least}"
                ) from error
            raise ValueError(
                f"sentencepiece cannot train a vocabulary of {vocab_size} for {prefix}: {error}"
            ) from error
    if size < vocab_size:
        log(f"  {prefix.name}: the text has pieces for a vocabulary of {size}, not {vocab_size}")
    model = sentencepiece.SentencePieceProcessor(model_proto=content)
    pieces = [(model.id_to_piece(index), model.get_score(index)) for index in range(len(model))]
    if tuple(piece for piece, _ in pieces[: len(SPECIALS)]) != SPECIALS:
        raise ValueError(f"sentencepiece numbered the special pieces in another way: {pieces[:4]}")
    write_text(Path(f"{prefix}.vocab"), "".join(f"{piece}\t{score:g}\n" for piece, score in pieces))
    write_text(Path(f"{prefix}.txt"), "".join(f"{piece} 1\n" for piece, _ in pieces[len(SPECIALS) :]))
    Path(f"{prefix}.model").write_bytes(content)
    return len(pieces)


def load_vocabulary(model_path: Path) -> sentencepiece.SentencePieceProcessor:
    """Load a sentencepiece model.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not model_path.is_file():
        raise FileNotFoundError(f"there is no sentencepiece model {model_path}")
    return sentencepiece.SentencePieceProcessor(model_file=str(model_path))


def write_pieces(model_path: Path, texts: Mapping[str, str], output: Path) -> dict[str, int]:
    """Write the multitask tsv of a split (id, tgt_text: pieces); returns the number of pieces of each id."""
    model = load_vocabulary(model_path)
    lines, counts = ["id\ttgt_text\n"], {}
    for name, text in texts.items():
        pieces = model.encode(text, out_type=str)
        if not pieces:
            raise ValueError(f"{output}: the text of {name} is empty")
        lines.append(f"{name}\t{' '.join(pieces)}\n")
        counts[name] = len(pieces)
    write_text(output, "".join(lines))
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a vocabulary on a text file with one sentence a line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--vocab-size", type=int, default=6000)
    parser.add_argument("--vocab-type", choices=VOCAB_TYPES, default="unigram")
    parser.add_argument("--prefix", type=Path, required=True, help="output path without its ending")
    parser.add_argument(
        "--alphabet", choices=sorted(ALPHABETS), help="give every letter of this language a piece"
    )
    args = parser.parse_args(arguments)
    try:
        if not args.text.is_file():
            raise FileNotFoundError(f"there is no text file {args.text}")
        lines = args.text.read_text(encoding="utf-8").splitlines()
        required = ALPHABETS[args.alphabet] if args.alphabet else ""
        args.prefix.parent.mkdir(parents=True, exist_ok=True)
        size = train_vocabulary(
            lines, args.vocab_size, args.prefix, vocab_type=args.vocab_type, required_characters=required
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{size} pieces (with {', '.join(SPECIALS)}) in {args.prefix}.model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
