"""All templates of the grammar: each clause alone, and in the frames that take it."""

from __future__ import annotations

from collections.abc import Sequence

from echostream.corpus.clause import Clause, Template
from echostream.corpus.clause_table import HELDOUT_PLAIN_CLAUSES, PLAIN_CLAUSES
from echostream.corpus.complex_clauses import COMPLEX_CLAUSES, HELDOUT_COMPLEX_CLAUSES
from echostream.corpus.frames import HELDOUT_FRAMES, TRAIN_FRAMES, combinations
from echostream.corpus.negations import NEGATIVE_CLAUSES
from echostream.corpus.quantities import QUANTITY_CLAUSES
from echostream.corpus.questions import QUESTION_CLAUSES

# A clause alone is drawn as often as in this many frames: long sentences stay under a third.
ALONE_WEIGHT = 4

TRAIN_CLAUSES = (*PLAIN_CLAUSES, *NEGATIVE_CLAUSES, *QUESTION_CLAUSES, *QUANTITY_CLAUSES, *COMPLEX_CLAUSES)
HELDOUT_CLAUSES = (*HELDOUT_PLAIN_CLAUSES, *HELDOUT_COMPLEX_CLAUSES)


def _alone(clauses: Sequence[Clause]) -> list[Template]:
    return [Template(clause.name, clause.choices, clause.render, ALONE_WEIGHT) for clause in clauses]


TRAIN_TEMPLATES = (*_alone(TRAIN_CLAUSES), *combinations(TRAIN_CLAUSES, TRAIN_FRAMES))
# Of a held-out template the clause, the frame or both are unknown to the other splits.
HELDOUT_TEMPLATES = (
    *_alone(HELDOUT_CLAUSES),
    *combinations(HELDOUT_CLAUSES, (*TRAIN_FRAMES, *HELDOUT_FRAMES)),
    *combinations(TRAIN_CLAUSES, HELDOUT_FRAMES),
)
