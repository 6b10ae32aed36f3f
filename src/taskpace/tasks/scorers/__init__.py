"""Who grades: a file for each scorer. A new one is a file and a line in ``SCORERS``.

Another distribution adds one with an entry point in the group ``taskpace.scorers`` that names its ``Scorer``
(docs/extending.md).
"""

from __future__ import annotations

from taskpace.plugins import Registry
from taskpace.tasks.scorers.base import FieldProblem, NoOptions, Scored, Scorer
from taskpace.tasks.scorers.foreign import checked

__all__ = ["SCORERS", "FieldProblem", "NoOptions", "Scored", "Scorer"]


SCORERS: Registry[Scorer] = Registry(
    "taskpace.scorers",
    "scorer",
    Scorer,
    {
        "letter": "taskpace.tasks.scorers.choice:LETTER",
        "text": "taskpace.tasks.scorers.text:TEXT",
        "paraphrase": "taskpace.tasks.scorers.question:PARAPHRASE",
        "squad": "taskpace.tasks.scorers.squad:SQUAD",
        "number": "taskpace.tasks.scorers.number:NUMBER",
        "json": "taskpace.tasks.scorers.json_fields:JSON",
        "translation": "taskpace.tasks.scorers.overlap:TRANSLATION",
        "summary": "taskpace.tasks.scorers.overlap:SUMMARY",
        "demands": "taskpace.tasks.scorers.demands:DEMANDS",
        "agreement": "taskpace.tasks.scorers.agreement:AGREEMENT",
        "similarity": "taskpace.tasks.scorers.similarity:SIMILARITY",
    },
    checked,
)
"""Every scorer by name."""
