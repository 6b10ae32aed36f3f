"""No answer ends a run: graders raise nothing that stops it, and long hostile texts come to an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from tests.tasks.test_scoring import record

from taskpace.tasks import Item, load_task, score
from taskpace.tasks.extractors.json_answer import read_json, share_of_fields
from taskpace.tasks.paraphrase import ParaphraseOptions, check_paraphrase
from taskpace.tasks.scorers import SCORERS

FIELDS: dict[str, dict[str, Any]] = {
    "mmlu-letter": {"choices": ["London", "Paris", "Rome", "Berlin"], "answer": "B"},
    "math": {"answer": "18"},
    "qa-closed": {"answers": ["Paris", "14 May 1945", "5", "no"]},
    "extract": {
        "schema": {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 3}}},
        "answer": {"n": 3},
    },
    "mmlu-paraphrase": {"question": "What is the capital of France in 1945?", "choices": ["Rome", "Paris"]},
    "rewrite": {"text": "a b c", "points": [["a b", "tree"]], "forbidden": ["x y"]},
    "summarise": {"reference": "The capital of France is Paris, on the Seine."},
}
PIECES = [
    "A ", "A\n", "answer is ", "The answer is B ", "((A", "\\text{", "$\\boxed{", "_", "x_", " ", "\n", "not ", "A) ",
    "A or ", "*B*", "1", "1,", "1/", "-1 ", "\\frac", "^", "{", "}", "```", "```\n", "<answer>", "#### 1\n", "。",
    "A选项", "\u0301\u0323", "उ", "ไ", "IV ", "twenty ", "Paris, ", "not Paris ", '"', '{"a":', ". ", "! ", "?", "1 = ",
    "3億", "\r\n",
]  # fmt: skip


@pytest.mark.parametrize("task", FIELDS)
def test_long_hostile_texts_come_to_an_end(task: str) -> None:
    """5,000 characters of any piece: each is gone over a bounded number of times, and no grader stumbles."""
    for piece in PIECES:
        grade = score(load_task(task, Path()), Item(id="x", fields=FIELDS[task]), record(piece * (5_000 // len(piece))))
        assert grade.outcome in ("correct", "wrong", "unparsed")
        assert "grader failed" not in (grade.detail or ""), piece


@settings(max_examples=3 * settings.default.max_examples // 2, deadline=None)
@given(
    st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)),
    st.sampled_from(list(FIELDS)),
)
def test_no_grader_stumbles(text: str, task: str) -> None:
    """Any text gets a grade of the scorer's own, with an answer that UTF-8 can hold."""
    grade = score(load_task(task, Path()), Item(id="x", fields=FIELDS[task]), record(text))
    assert "grader failed" not in (grade.detail or "")
    (grade.answer or "").encode()


@pytest.mark.parametrize(
    "text",
    [
        "The answer is " + "9" * 310 + ".5",
        "The answer is " + "7" * 5000,
        "The answer is 10^99999",
        "The answer is 9^9^9^9",
        "The answer is 1e99999",
        "\\boxed{" * 3000 + "5",
        "The answer is 1/0.",
    ],
)
def test_numbers_without_end_are_not_read(text: str) -> None:
    """What no float and no person holds is unparsed, and no other number of the text is taken for it."""
    assert score(load_task("math", Path()), Item(id="x", fields={"answer": "5"}), record(text)).outcome == "unparsed"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"n": "\\ud83d"}', "wrong"),
        ('{"n": ' + "1" * 5000 + "}", "unparsed"),
        ('{"n": 1e999}', "unparsed"),
        ('{"n": NaN}', "unparsed"),
        ('{"n": ' * 5000, "unparsed"),
        ('{"n": ' + "[" * 5000, "unparsed"),
        ('{"n": ' + "[" * 900 + "]" * 900 + "}", "wrong"),
        ('{"n": 3.0}', "correct"),
        ('```\n{"n": 1}\n```\n```json\n{"n": 3}\n```', "wrong"),
        ('```{"n": 1}``` no: {"n": 3}', "wrong"),
    ],
)
def test_json_that_is_none_is_not_read(text: str, outcome: str) -> None:
    """Half of an emoji, numbers and depths without end, what JSON does not have: unparsed or wrong, and stored."""
    grade = score(load_task("extract", Path()), Item(id="x", fields=FIELDS["extract"]), record(text))
    assert grade.outcome == outcome
    json.dumps(grade.answer).encode()


def test_fields_too_great_for_a_float_are_compared() -> None:
    """400 digits are equal to themselves and to nothing else."""
    assert share_of_fields({"n": 10**400}, {"n": 10**400}) == 1.0
    assert share_of_fields({"n": 10**400}, {"n": 1.5}) == 0.0
    assert read_json('{"name": "\\ud83d"}') == '{"name": "\ufffd"}'


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_a_grader_that_fails_ends_no_run(finish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plug-in's scorer raises is recorded as an answer that could not be read; a cut answer stays cut."""

    def fail(*_: Any) -> Any:
        raise OverflowError("no float is that great")

    broken = msgspec.structs.replace(SCORERS["letter"], grade=fail)
    monkeypatch.setitem(SCORERS._ours, "letter", broken)
    grade = score(
        load_task("mmlu-letter", Path()), Item(id="x", fields=FIELDS["mmlu-letter"]), record("B", finish=finish)
    )
    assert grade.outcome == ("truncated" if finish == "length" else "unparsed")
    if finish == "stop":
        assert grade.detail == "the grader failed on this answer: OverflowError: no float is that great"


@pytest.mark.parametrize("piece", ["\n", "\n ", "\n!", ". ", ".\n", "? "])
def test_a_paraphrase_of_blanks_is_judged(piece: str) -> None:
    """Runs of blanks and marks are not gone over again from each of their characters."""
    check = check_paraphrase("x" + piece * 20_000 + "x", "What is x?", (), ParaphraseOptions())
    assert check is not None
