"""Prompts in the sandbox, and grades: which outcome a record gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskpace.errors import TaskError
from taskpace.records import Arrival, Failure, FinishReason, Record, Turn, Usage
from taskpace.tasks import (
    DataSource,
    Item,
    Task,
    TurnTemplate,
    load_items,
    load_task,
    render,
    score,
    script,
    shipped_tasks,
)

LETTER = load_task("mmlu-letter", Path())
ITEM = Item(
    id="0" * 24, fields={"question": "Where?", "subject": "s", "choices": ["in", "out", "up", "down"], "answer": "B"}
)
FREE = Task(
    name="free",
    version=1,
    description="free",
    data=DataSource(source="x.jsonl"),
    turns=(TurnTemplate(prompt="{{ prompt }}"),),
    max_tokens=8,
)
TEXT = msgspec.structs.replace(FREE, extraction="text", scorer="text")


def record(*texts: str, finish: FinishReason | None = "stop", failure: str | None = None) -> Record:
    turns = tuple(
        Turn(
            dispatch_ns=0,
            send_delay_ns=0,
            arrivals=(Arrival(10, len(text.encode()), 0),),
            text=text,
            reasoning="The answer is A.",
            end_ns=100,
            finish_ns=100,
            finish_reason=finish,
            usage=Usage(),
        )
        for text in texts
    )
    return Record(
        trial_id="t",
        attempt=1,
        phase="measured",
        started_at="",
        turns=turns,
        failure=Failure(kind=failure, message="m") if failure else None,
        loop_lag_ns=None,
    )


def with_prompt(*prompts: str) -> Task:
    return msgspec.structs.replace(FREE, turns=tuple(TurnTemplate(prompt=prompt) for prompt in prompts))


@pytest.mark.parametrize(
    ("given", "outcome", "answer", "committed"),
    [
        (record("B"), "correct", "B", 10),
        (record("The answer is C."), "wrong", "C", 10),
        (record("Who knows?"), "unparsed", None, None),
        (record(""), "unparsed", None, None),
        (record("B) out", finish="length"), "truncated", "B", 10),
        (record("Hm", finish="length"), "truncated", None, None),
        (record("B", failure="timeout"), "timeout", None, None),
        (record("B", failure="out-of-memory"), "error", None, None),
        (record(failure="worker-died"), "error", None, None),
        (record(), "error", None, None),
        (record("C", "B"), "correct", "B", 110),
        (record("B", finish=None), "correct", "B", 10),
    ],
)
def test_a_letter_record_gets_its_outcome(
    given: Record, outcome: str, answer: str | None, committed: int | None
) -> None:
    """A failure comes before the limit, the limit before the answer; reasoning is never read."""
    grade = score(LETTER, ITEM, given)
    assert (grade.outcome, grade.answer, grade.committed_ns) == (outcome, answer, committed)
    assert grade.scorer == "letter/2"


def test_the_kind_of_a_failure_is_kept() -> None:
    """The detail says what failed."""
    assert score(LETTER, ITEM, record(failure="out-of-memory")).detail == "out-of-memory"


def test_without_a_scorer_a_trial_is_completed() -> None:
    """Nothing is judged, but a cut text is still truncated."""
    item = Item(id="1", fields={"prompt": "Hi"})
    assert score(FREE, item, record("Hello")).outcome == "completed"
    assert score(FREE, item, record("Hello", finish="length")).outcome == "truncated"
    assert score(FREE, item, record("Hello")).scorer == "none/1"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("Paris", "correct"), (" **paris.**\n", "correct"), ("It is Paris", "wrong"), (" \n", "unparsed")],
)
def test_text_answers_are_compared_without_case_and_punctuation(text: str, outcome: str) -> None:
    """The whole text must be the answer."""
    grade = score(TEXT, Item(id="1", fields={"prompt": "?", "answer": "Paris"}), record(text))
    assert (grade.outcome, grade.scorer) == (outcome, "text/2")


def test_a_paraphrase_has_a_degree_and_no_committed_answer() -> None:
    """The score is the share of content words kept; there is no answer to commit to."""
    task = load_task("mmlu-paraphrase", Path())
    item = Item(id="1", fields={"question": "What is the capital of Canada?", "choices": ["Ottawa", "Toronto"]})
    grade = score(task, item, record("Which city is Canada's capital?"))
    assert (grade.outcome, grade.score, grade.answer, grade.committed_ns) == ("correct", 1.0, None, None)
    assert grade.scorer == "paraphrase/4"
    copied = score(task, item, record("What is the capital of Canada?"))
    assert copied.outcome == "wrong"
    assert copied.detail is not None
    assert copied.detail.startswith("copy")
    assert score(task, item, record(" ")).outcome == "unparsed"


def test_scripts_give_a_right_and_a_wrong_text_for_every_starter_question() -> None:
    """What the simulated engine is told to say gets the outcome it is meant to get."""
    for task in shipped_tasks():
        for item in load_items(task, Path(), None, 0):
            right, wrong = script(task, item)
            assert score(task, item, record(right)).outcome == "correct"
            assert score(task, item, record(wrong)).outcome == "wrong"


def test_a_script_where_nothing_is_judged() -> None:
    """Without a scorer there is neither right nor wrong."""
    assert script(FREE, Item(id="1", fields={"prompt": "Hi"})) == ("Done.", "Done.")
    right, wrong = script(TEXT, Item(id="1", fields={"prompt": "Hi", "answer": "yes"}))
    assert (right, wrong != right) == ("yes", True)


def test_every_turn_is_rendered() -> None:
    """One message of the user's for each turn, without the blanks around it."""
    task = with_prompt("\nFirst {{ prompt }}\n", "Then {{ prompt | upper }}")
    assert render(task, Item(id="1", fields={"prompt": "a"})) == ("First a", "Then A")


def test_text_in_fields_is_no_template() -> None:
    """Braces, HTML and jinja2 code in the data reach the model as they are."""
    hostile = "{{ 7 * 7 }} {% raw %} <b>&amp;</b>"
    assert render(FREE, Item(id="1", fields={"prompt": hostile})) == (hostile,)


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ missing }}",
        "{{ prompt.missing }}",
        "{{ prompt.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ items.append(1) }}",
        "{{ range(10 ** 9) }}",
        "{{ 1 / 0 }}",
        "{{ prompt + 1 }}",
        "{{ 99 | letter }}",
        "{% include 'x' %}",
        "{# nothing #}",
    ],
)
def test_a_template_that_fails_names_task_and_turn(prompt: str) -> None:
    """Undefined names, forbidden reaches and plain mistakes are refused in one line."""
    fields: dict[str, Any] = {"prompt": "p", "items": []}
    with pytest.raises(TaskError, match=r'task "free", turn 2, key "prompt": ') as caught:
        render(with_prompt("fine", prompt), Item(id="1", fields=fields))
    assert "\n" not in str(caught.value)
    assert fields["items"] == []
