"""A judge's replies, each with what it was asked about."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.store import queries
from taskpace.store.decoding import decoded
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


class _Question(msgspec.Struct, frozen=True):
    """What every question is about."""

    item: str


class _Verdict(_Question, frozen=True):
    trial: str
    system: str
    outcome: str
    answer: str
    verdict: Literal["correct", "wrong"] | msgspec.UnsetType = msgspec.UNSET


class _Preference(_Question, frozen=True):
    first: str
    second: str
    first_system: str
    second_system: str


_KINDS: dict[str, tuple[type[_Question], tuple[str, ...]]] = {
    "verdict": (_Verdict, ("correct", "wrong")),
    "preference": (_Preference, ("1", "2", "tie")),
}
"""The kinds of questions: what they have to have, and which replies there are."""


def load_replies(judge: Reader) -> list[Reply]:
    """All of them, in the order of the questions."""
    fields = {(item.task, item.id): item.fields for item in queries.items(judge)}
    found = []
    for row in last_attempts(load_frame(judge)).iter_rows(named=True):
        kind, _, task = row["task"].partition(": ")
        ended = row["outcome"] in ("correct", "wrong", "completed")
        question, replies = _KINDS.get(kind, (_Question, ()))
        text = fields[row["task"], row["item_id"]]
        decoded(text, question, judge, "item")
        found.append(
            Reply(
                trial_id=row["trial_id"],
                kind=kind,
                task=task,
                about=msgspec.json.decode(text),
                said=row["answer"] if ended and row["answer"] in replies else None,
                time_s=row["task_time_s"],
                output_tokens=row["output_tokens"],
            )
        )
    return found
