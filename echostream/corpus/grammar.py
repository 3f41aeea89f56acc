"""French-English sentence pairs drawn from the template grammar, without duplicates and reproducibly.

python -m echostream.corpus.grammar --train 5 --test-hard 5
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from echostream.corpus.choices import AllOf
from echostream.corpus.clause import Template
from echostream.corpus.english import join_english
from echostream.corpus.french import join_french
from echostream.corpus.lexicon import LEXICON_PATH, Lexicon, load_lexicon
from echostream.corpus.phrases import PhraseBook
from echostream.corpus.template_table import HELDOUT_TEMPLATES, TRAIN_TEMPLATES

SPLITS = ("train", "dev", "test", "test_hard")
HARD_SPLIT = "test_hard"
# Templates with fewer combinations are shuffled as a whole; larger ones are drawn at random.
SHUFFLE_LIMIT = 100_000


@dataclass(frozen=True)
class Sentence:
    """A sentence pair, lower-case, without punctuation except apostrophes, and the template it came from."""

    fr: str
    en: str
    template: str


def normalize(text: str) -> str:
    """Lower-case text with single spaces and no punctuation except apostrophes."""
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return " ".join(re.sub(r"[^\w' ]|_", " ", text).split())


def uses_heldout(items: Sequence[Any]) -> bool:
    """Whether a held-out word is among the choices of a sentence."""
    return any(
        uses_heldout(item) if isinstance(item, tuple) else getattr(item, "heldout", False) for item in items
    )


class Grammar:
    """A set of templates over a lexicon: the sentences of the training splits, or those of test_hard.

    Args:
        lexicon: the words.
        heldout: False for the templates and words of train, dev and test; True for held-out templates, whose
            sentences each carry at least one held-out word.
        templates: other templates than the usual ones.
    """

    def __init__(
        self, lexicon: Lexicon, *, heldout: bool, templates: Sequence[Template] | None = None
    ) -> None:
        if templates is None:
            templates = HELDOUT_TEMPLATES if heldout else TRAIN_TEMPLATES
        self.heldout = heldout
        self.no_elision = lexicon.no_elision
        self.templates = list(templates)
        book = PhraseBook(lexicon, allow_heldout=heldout)
        self._combinations = {
            template.name: AllOf(template.render, template.choices(book)) for template in self.templates
        }

    @property
    def num_combinations(self) -> int:
        """The number of choices of all templates together: no fewer than the distinct sentences."""
        return sum(combinations.num_combinations for combinations in self._combinations.values())

    def num_combinations_of(self, template: str) -> int:
        """The number of choices of one template."""
        return self._combinations[template].num_combinations

    def sentence(self, template: str, index: int) -> Sentence | None:
        """Combination `index` of a template, or None when its choices do not go together."""
        combinations = self._combinations[template]
        items = combinations.items_at(index)
        if self.heldout and not uses_heldout(items):
            return None
        rendered = combinations.combine(*items)
        if rendered is None:
            return None
        fr, en = rendered
        return Sentence(normalize(join_french(fr, self.no_elision)), normalize(join_english(en)), template)

    def _indices(self, template: str, rng: random.Random) -> Iterator[int]:
        """Every combination of a template once, in random order."""
        count = self.num_combinations_of(template)
        if count <= SHUFFLE_LIMIT:
            order = list(range(count))
            rng.shuffle(order)
            yield from order
            return
        seen: set[int] = set()
        while len(seen) < count:
            index = rng.randrange(count)
            if index not in seen:
                seen.add(index)
                yield index

    def stream(self, rng: random.Random) -> Iterator[Sentence]:
        """Distinct sentences in random order: neither a French nor an English text comes twice."""
        active = list(self.templates)
        indices = {template.name: self._indices(template.name, rng) for template in active}
        french: set[str] = set()
        english: set[str] = set()
        shares = list(accumulate(template.weight for template in active))
        while active:
            template = rng.choices(active, cum_weights=shares)[0]
            for index in indices[template.name]:
                sentence = self.sentence(template.name, index)
                if sentence is not None and sentence.fr not in french and sentence.en not in english:
                    french.add(sentence.fr)
                    english.add(sentence.en)
                    yield sentence
                    break
            else:
                active.remove(template)
                shares = list(accumulate(template.weight for template in active))


def _draw(grammar: Grammar, rng: random.Random, sizes: Mapping[str, int]) -> dict[str, list[Sentence]]:
    wanted = sum(sizes.values())
    names = ", ".join(sizes)
    if wanted > grammar.num_combinations:
        raise ValueError(
            f"{names}: {wanted} sentences asked for, but the grammar has at most {grammar.num_combinations}: "
            "ask for fewer"
        )
    stream = grammar.stream(rng)
    drawn: dict[str, list[Sentence]] = {}
    for name, size in sizes.items():
        drawn[name] = [sentence for _, sentence in zip(range(size), stream, strict=False)]
        if len(drawn[name]) < size:
            found = sum(map(len, drawn.values()))
            raise ValueError(
                f"{names}: {wanted} sentences asked for, but only {found} distinct ones exist: ask for fewer"
            )
    return drawn


def sample_splits(
    sizes: Mapping[str, int],
    seed: int,
    *,
    lexicon: Lexicon | None = None,
    grammar: Grammar | None = None,
    hard_grammar: Grammar | None = None,
) -> dict[str, list[Sentence]]:
    """Draw the sentences of each split; the same sizes and seed always give the same sentences.

    test, dev and train share templates but no sentence; test_hard has templates and words of its own. The
    evaluation sets are drawn first, so that they stay the same when only the size of train changes.

    Args:
        sizes: number of sentences of each of `SPLITS`.
        seed: any integer.
        lexicon, grammar, hard_grammar: other than the usual ones.

    Returns:
        The sentences by split, in the order of `SPLITS`.

    Raises:
        ValueError: a split is unknown, a size is negative, or more sentences are asked for than exist.
    """
    for name, size in sizes.items():
        if name not in SPLITS:
            raise ValueError(f"unknown split {name!r}: the splits are {', '.join(SPLITS)}")
        if size < 0:
            raise ValueError(f"the size of split {name!r} is {size}: it must not be negative")
    lexicon = lexicon or load_lexicon()
    grammar = grammar or Grammar(lexicon, heldout=False)
    hard_grammar = hard_grammar or Grammar(lexicon, heldout=True)
    easy = {name: sizes.get(name, 0) for name in ("test", "dev", "train")}
    drawn = _draw(grammar, random.Random(f"{seed}/sentences"), easy)
    hard_sizes = {HARD_SPLIT: sizes.get(HARD_SPLIT, 0)}
    drawn.update(_draw(hard_grammar, random.Random(f"{seed}/hard sentences"), hard_sizes))
    return {name: drawn[name] for name in SPLITS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print sentence pairs as tab-separated lines: split, template, French, English."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name in SPLITS:
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=0, metavar="N", help=f"sentences of {name}"
        )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--lexicon", type=Path, default=LEXICON_PATH, help="another lexicon file of the same form"
    )
    args = parser.parse_args(arguments)
    sizes = {name: getattr(args, name) for name in SPLITS}
    try:
        drawn = sample_splits(sizes, args.seed, lexicon=load_lexicon(args.lexicon))
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split, sentences in drawn.items():
        for sentence in sentences:
            print(split, sentence.template, sentence.fr, sentence.en, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
