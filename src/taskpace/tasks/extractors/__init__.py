"""How an answer is read: a file for each extraction. A new one is a file and a line in ``EXTRACTIONS``.

Another distribution adds one with an entry point in the group ``taskpace.extractors`` that names its ``Extraction``
(docs/extending.md).
"""

from __future__ import annotations

from taskpace.plugins import Registry
from taskpace.tasks.extractors.base import Extraction

__all__ = ["EXTRACTIONS", "Extraction"]

EXTRACTIONS: Registry[Extraction] = Registry(
    "taskpace.extractors",
    "extraction",
    Extraction,
    {
        "letter": "taskpace.tasks.extractors.choice:LETTER",
        "text": "taskpace.tasks.extractors.whole_text:TEXT",
        "number": "taskpace.tasks.extractors.numbers:NUMBER",
        "json": "taskpace.tasks.extractors.json_answer:JSON",
        "verdict": "taskpace.tasks.extractors.last_line:VERDICT",
        "preference": "taskpace.tasks.extractors.last_line:PREFERENCE",
    },
)
"""Every extraction by name."""
