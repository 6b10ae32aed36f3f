"""Extraction and grading against real answers of the packaged models that were labelled by reading them.

``labelled/answers.jsonl`` holds what was asked, the answer's text and the label: ``correct``, ``wrong`` or ``none`` (no
answer that a person could read), with the letter or number that the text commits to where the task has one. The reader
saw no grade. ``python tests/tasks/test_labels.py`` writes the confusion table and every disagreement into
docs/grading.md.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskpace.records import Arrival, Grade, Record, Turn, Usage
from taskpace.tasks import Item, load_task, score

LABELLED = Path(__file__).parent / "labelled" / "answers.jsonl"
PAGE = Path(__file__).parents[2] / "docs" / "grading.md"
BEGIN, END = "<!-- begin: made by tests/tasks/test_labels.py -->", "<!-- end -->"
MECHANICAL = frozenset({"letter", "number", "squad", "json", "demands", "paraphrase"})
"""Scorers that look for what was asked; the others (chrF, ROUGE) estimate how alike two texts are."""
LEAST_AGREEMENT = 0.98
READ = ("mmlu-letter", "mmlu-explain", "math")
"""Tasks whose answer is one letter or number, which the label names."""


class Labelled(msgspec.Struct, frozen=True):
    id: str
    """Of the trial."""
    system: str
    task: str
    item: dict[str, Any]
    text: str
    label: str
    read: str | None
    why: str


class Graded(msgspec.Struct, frozen=True):
    answer: Labelled
    grade: Grade
    mechanical: bool

    @property
    def agrees(self) -> bool:
        """Both call it correct, or neither does."""
        return (self.grade.outcome == "correct") == (self.answer.label == "correct")


def graded() -> list[Graded]:
    """Every labelled answer with the grade that taskpace gives it now."""
    found = []
    for line in LABELLED.read_text("utf-8").splitlines():
        answer = msgspec.json.decode(line, type=Labelled)
        task = load_task(answer.task, Path())
        turn = Turn(
            dispatch_ns=0,
            send_delay_ns=0,
            arrivals=(Arrival(1, len(answer.text.encode()), 0),),
            text=answer.text,
            reasoning="",
            end_ns=1,
            finish_ns=1,
            finish_reason="stop",
            usage=Usage(),
        )
        record = Record(
            trial_id=answer.id,
            attempt=1,
            phase="measured",
            started_at="",
            turns=(turn,),
            failure=None,
            loop_lag_ns=None,
        )
        grade = score(task, Item(id=answer.id, fields=answer.item), record)
        found.append(Graded(answer, grade, task.scorer in MECHANICAL))
    return found


@pytest.fixture(scope="module")
def answers() -> list[Graded]:
    return graded()


def test_there_are_enough_and_of_every_task(answers):
    """300 or more real answers of both models that say something, each once, and of all tasks but essays."""
    assert sum(bool(each.answer.text.strip()) for each in answers) >= 300
    assert len({each.answer.id for each in answers}) == len(answers)
    assert len({each.answer.system for each in answers}) == 2
    assert len({each.answer.task for each in answers}) >= 11
    assert {each.answer.label for each in answers} == {"correct", "wrong", "none"}


def test_mechanical_scorers_agree_with_the_reader(answers):
    """Of the answers with a mechanical scorer that say anything, 98 % are called as the reader called them."""
    mechanical = [each for each in answers if each.mechanical and each.answer.text.strip()]
    disagreements = [each.answer.id for each in mechanical if not each.agrees]
    assert len(disagreements) <= (1 - LEAST_AGREEMENT) * len(mechanical), disagreements


def test_correct_is_said_of_correct_answers(answers):
    """Agreement on the many wrong answers alone would be cheap: of those that the reader calls correct, and of those
    that a mechanical scorer does, nine in ten are correct to the other as well.
    """
    mechanical = [each for each in answers if each.mechanical]
    both = sum(each.grade.outcome == "correct" and each.answer.label == "correct" for each in mechanical)
    assert both >= 20
    assert both >= 0.9 * sum(each.answer.label == "correct" for each in mechanical)
    assert both >= 0.9 * sum(each.grade.outcome == "correct" for each in mechanical)


def test_letters_and_numbers_are_read_as_the_reader_reads_them(answers):
    """Where the text commits to one letter or number, and only there, extraction finds that one, in 98 of 100."""
    read = [each for each in answers if each.answer.task in READ]
    missed = [each.answer.id for each in read if not _same(each.grade.answer, each.answer.read)]
    assert len(missed) <= (1 - LEAST_AGREEMENT) * len(read), missed


def _same(found: str | None, read: str | None) -> bool:
    if found is None or read is None:
        return found is read
    return found == read or _number(found) == _number(read) is not None


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def test_the_page_shows_the_table_as_it_is(answers):
    """docs/grading.md is what the script writes."""
    assert PAGE.read_text("utf-8") == _page(answers)


def _page(answers: list[Graded]) -> str:
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_tables(answers)}\n{END}{after}"


def _tables(answers: list[Graded]) -> str:
    said = [each for each in answers if each.answer.text.strip()]
    lines = [
        "| task | answers | empty | both correct | neither | scorer alone | reader alone | agreement | kappa |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    tasks = list(dict.fromkeys(each.answer.task for each in answers))
    groups = [(f"`{task}`", [each for each in answers if each.answer.task == task]) for task in tasks]
    groups.append(("**mechanical scorers**", [each for each in answers if each.mechanical]))
    groups.append(("**chrF and ROUGE**", [each for each in answers if not each.mechanical]))
    lines += [_line(name, group) for name, group in groups]
    lines += ["", "Every disagreement:", "", "| task | scorer | reader | why, to the reader | the answer |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    lines += [_disagreement(each) for each in said if not each.agrees]
    return "\n".join(lines)


def _line(name: str, group: list[Graded]) -> str:
    """Empty answers are counted and no part of the rest: nobody needs a reader for them."""
    said = [each for each in group if each.answer.text.strip()]
    cells = Counter((each.grade.outcome == "correct", each.answer.label == "correct") for each in said)
    counts = [cells[True, True], cells[False, False], cells[True, False], cells[False, True]]
    n, same = len(said), cells[True, True] + cells[False, False]
    agreement = f"{100 * same / n:.1f} %" if n else "–"
    row = (len(group), len(group) - n, *counts, agreement, _kappa(*counts))
    return f"| {name} | {' | '.join(map(str, row))} |"


def _kappa(both: int, neither: int, scorer: int, reader: int) -> str:
    """Cohen's kappa (1960): (p_o - p_e) / (1 - p_e); unknown where nobody called anything correct."""
    n = both + neither + scorer + reader
    if not both + scorer or not both + reader:
        return "–"
    chance = ((both + scorer) * (both + reader) + (neither + reader) * (neither + scorer)) / n**2
    return f"{((both + neither) / n - chance) / (1 - chance):.2f}"


def _disagreement(each: Graded) -> str:
    answer, grade = each.answer, each.grade
    detail = f" ({_cell(grade.detail)})" if grade.detail else ""
    cells = (f"`{answer.task}`", grade.outcome + detail, answer.label, _cell(answer.why), _cell(answer.text))
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    short = " ".join(text.split())
    short = short if len(short) <= 160 else short[:157] + "..."
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|~" else sign for sign in short)


if __name__ == "__main__":
    PAGE.write_text(_page(graded()), "utf-8")
