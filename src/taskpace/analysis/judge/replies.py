"""A judge's replies, each with what it was asked about."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.store import queries
from taskpace.store.queries import Reader


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt at one question."""

    trial_id: str
    """In the judge's run."""
    kind: str
    """``verdict`` or ``preference``."""
    task: str
    """That was judged."""
    about: dict[str, Any]
    """The fields of the question (``taskpace.judge.questions``)."""
    said: str | None
    """The verdict or the preference; null: none could be read, or the judge did not come to an end."""
    time_s: float | None
    output_tokens: int | None


def load_replies(judge: Reader) -> list[Reply]:
    """All of them, in the order of the questions."""
    fields = {(item.task, item.id): item.fields for item in queries.items(judge)}
    found = []
    for row in last_attempts(load_frame(judge)).iter_rows(named=True):
        kind, _, task = row["task"].partition(": ")
        ended = row["outcome"] in ("correct", "wrong", "completed")
        found.append(
            Reply(
                trial_id=row["trial_id"],
                kind=kind,
                task=task,
                about=msgspec.json.decode(fields[row["task"], row["item_id"]]),
                said=row["answer"] if ended else None,
                time_s=row["task_time_s"],
                output_tokens=row["output_tokens"],
            )
        )
    return found
