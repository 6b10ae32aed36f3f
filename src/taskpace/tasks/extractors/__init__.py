"""How an answer is read: a file for each extraction. A new one is a file and a line in ``EXTRACTIONS``.

Another distribution adds one with an entry point in the group ``taskpace.extractors`` that names its ``Extraction``
(docs/extending.md).
"""

from __future__ import annotations

from taskpace.plugins import Registry
from taskpace.tasks.extractors.base import Extraction
from taskpace.tasks.extractors.choice import LETTER
from taskpace.tasks.extractors.json_answer import JSON
from taskpace.tasks.extractors.last_line import PREFERENCE, VERDICT
from taskpace.tasks.extractors.numbers import NUMBER
from taskpace.tasks.extractors.whole_text import TEXT

__all__ = ["EXTRACTIONS", "Extraction"]

EXTRACTIONS: Registry[Extraction] = Registry(
    "taskpace.extractors",
    "extraction",
    Extraction,
    {
        "letter": LETTER,
        "text": TEXT,
        "number": NUMBER,
        "json": JSON,
        "verdict": VERDICT,
        "preference": PREFERENCE,
    },
)
"""Every extraction by name."""
