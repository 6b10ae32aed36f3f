"""Who grades: a file for each scorer. A new one is a file and a line in ``SCORERS``.

Another distribution adds one with an entry point in the group ``taskpace.scorers`` that names its ``Scorer``
(docs/extending.md).
"""

from __future__ import annotations

import msgspec

from taskpace.plugins import Registry
from taskpace.tasks.scorers.agreement import AGREEMENT
from taskpace.tasks.scorers.base import FieldProblem, NoOptions, Scored, Scorer
from taskpace.tasks.scorers.choice import LETTER
from taskpace.tasks.scorers.demands import DEMANDS
from taskpace.tasks.scorers.json_fields import JSON
from taskpace.tasks.scorers.number import NUMBER
from taskpace.tasks.scorers.overlap import SUMMARY, TRANSLATION
from taskpace.tasks.scorers.question import PARAPHRASE
from taskpace.tasks.scorers.similarity import SIMILARITY
from taskpace.tasks.scorers.squad import SQUAD
from taskpace.tasks.scorers.text import TEXT

__all__ = ["SCORERS", "FieldProblem", "NoOptions", "Scored", "Scorer"]


def _receive(found: Scorer, _name: str, distribution: str) -> Scorer:
    return msgspec.structs.replace(found, distribution=distribution)


SCORERS: Registry[Scorer] = Registry(
    "taskpace.scorers",
    "scorer",
    Scorer,
    {
        "letter": LETTER,
        "text": TEXT,
        "paraphrase": PARAPHRASE,
        "squad": SQUAD,
        "number": NUMBER,
        "json": JSON,
        "translation": TRANSLATION,
        "summary": SUMMARY,
        "demands": DEMANDS,
        "agreement": AGREEMENT,
        "similarity": SIMILARITY,
    },
    _receive,
)
"""Every scorer by name."""
