"""Extraction and grading against answers that were labelled by reading them.

``labelled/answers.jsonl`` holds real answers of the packaged models: what was asked, the answer's text and the label:
``correct``, ``wrong`` or ``none`` (no answer that a person could read), with the letter or number that the text commits
to where the task has one. The reader saw no grade. ``labelled/written.jsonl`` holds answers written for the purpose, in
the styles of large models and of other languages, labelled before any grader saw them. ``python
tests/tasks/test_labels.py`` writes the confusion tables and every disagreement into docs/grading.md.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskpace.records import Arrival, Grade, Record, Turn, Usage
from taskpace.tasks import Item, load_task, score

LABELLED = Path(__file__).parent / "labelled" / "answers.jsonl"
WRITTEN = Path(__file__).parent / "labelled" / "written.jsonl"
PAGE = Path(__file__).parents[2] / "docs" / "grading.md"
BEGIN, END = "<!-- begin: made by tests/tasks/test_labels.py -->", "<!-- end -->"
MECHANICAL = frozenset({"letter", "number", "squad", "json", "demands", "paraphrase"})
"""Scorers that look for what was asked; the others (chrF, ROUGE) estimate how alike two texts are."""
LEAST_AGREEMENT = 0.98
MOST_SPOKEN = (
    *("en", "zh", "hi", "es", "ar", "fr", "bn", "pt", "ru", "id"),
    *("ur", "de", "ja", "mr", "vi", "te", "ha", "tr"),
)
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
    kind: str = ""
    """Of a written answer: what it shows."""
    language: str = "en"
    batch: int = 0
    """Of written answers: 1 before the graders of today were written, 2 and 3 after changes that the one before led
    to."""


class Graded(msgspec.Struct, frozen=True):
    answer: Labelled
    grade: Grade
    mechanical: bool

    @property
    def agrees(self) -> bool:
        """Both call it correct, or neither does."""
        return (self.grade.outcome == "correct") == (self.answer.label == "correct")


def graded(path: Path = LABELLED) -> list[Graded]:
    """Every labelled answer with the grade that taskpace gives it now."""
    found = []
    for line in path.read_text("utf-8").splitlines():
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


@pytest.fixture(scope="module")
def written() -> list[Graded]:
    return graded(WRITTEN)


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
        return float(Fraction(text.replace(",", "")))
    except ValueError:
        return None


def test_written_answers_are_many_and_of_many_languages(written):
    """150 or more, each once, in the twenty most spoken languages but for Nigerian Pidgin and Egyptian Arabic."""
    assert len({each.answer.id for each in written}) == len(written) >= 150
    most_spoken = [
        "en",
        "zh",
        "hi",
        "es",
        "ar",
        "fr",
        "bn",
        "pt",
        "ru",
        "id",
        "ur",
        "de",
        "ja",
        "mr",
        "vi",
        "te",
        "ha",
        "tr",
    ]
    assert set(most_spoken) <= {each.answer.language for each in written}


def test_no_grader_stumbles_over_a_labelled_answer(answers, written):
    """None of them is unparsed because a grader failed."""
    assert not [each.answer.text for each in (*answers, *written) if "grader failed" in (each.grade.detail or "")]


def test_written_answers_are_graded_as_they_are_labelled(written):
    """Of each kind at least 19 in 20, of all 98 in 100; where a letter or number is labelled, that one is read."""
    for kind in {each.answer.kind for each in written}:
        group = [each for each in written if each.answer.kind == kind]
        missed = [each.answer.text for each in group if not each.agrees]
        assert len(missed) <= len(group) / 20, missed
    assert sum(each.agrees for each in written) >= LEAST_AGREEMENT * len(written)
    read = [each for each in written if each.answer.task in READ]
    missed = [each.answer.text for each in read if not _same(each.grade.answer, each.answer.read)]
    assert len(missed) <= (1 - LEAST_AGREEMENT) * len(read), missed


def test_the_page_shows_the_table_as_it_is(answers, written):
    """docs/grading.md is what the script writes."""
    assert PAGE.read_text("utf-8") == _page(answers, written)


def _page(answers: list[Graded], written: list[Graded]) -> str:
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    between, _, rest = after.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{_tables(answers)}\n{END}{between}{BEGIN}\n{_kinds(written)}\n{END}{after}"


def _kinds(written: list[Graded]) -> str:
    lines = [
        "| kind of answer | answers | languages | both correct | neither | scorer alone | reader alone | agreement |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    kinds = list(dict.fromkeys(each.answer.kind for each in written))
    groups = [(kind, [each for each in written if each.answer.kind == kind]) for kind in kinds]
    for name, group in [*groups, ("**all**", written)]:
        cells = Counter((each.grade.outcome == "correct", each.answer.label == "correct") for each in group)
        counts = [cells[True, True], cells[False, False], cells[True, False], cells[False, True]]
        languages = len({each.answer.language for each in group})
        agreement = f"{100 * (counts[0] + counts[1]) / len(group):.1f} %"
        lines.append(f"| {name} | {len(group)} | {languages} | {' | '.join(map(str, counts))} | {agreement} |")
    lines += ["", "Every disagreement, in what is read or in the grade:", ""]
    lines += [
        "| kind of answer | scorer | reader | why, to the reader | the answer |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in written:
        if not each.agrees or (each.answer.task in READ and not _same(each.grade.answer, each.answer.read)):
            lines.append(_disagreement(each, each.answer.kind))
    return "\n".join(lines)


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
    """Empty answers are counted and no part of the rest: they need no reader."""
    said = [each for each in group if each.answer.text.strip()]
    cells = Counter((each.grade.outcome == "correct", each.answer.label == "correct") for each in said)
    counts = [cells[True, True], cells[False, False], cells[True, False], cells[False, True]]
    n, same = len(said), cells[True, True] + cells[False, False]
    agreement = f"{100 * same / n:.1f} %" if n else "–"
    row = (len(group), len(group) - n, *counts, agreement, _kappa(*counts))
    return f"| {name} | {' | '.join(map(str, row))} |"


def _kappa(both: int, neither: int, scorer: int, reader: int) -> str:
    """Cohen's kappa (1960): (p_o - p_e) / (1 - p_e); unknown where neither called anything correct."""
    n = both + neither + scorer + reader
    if not both + scorer or not both + reader:
        return "–"
    chance = ((both + scorer) * (both + reader) + (neither + reader) * (neither + scorer)) / n**2
    return f"{((both + neither) / n - chance) / (1 - chance):.2f}"


def _disagreement(each: Graded, name: str | None = None) -> str:
    answer, grade = each.answer, each.grade
    detail = f" ({_cell(grade.detail)})" if grade.detail else ""
    cells = (name or f"`{answer.task}`", grade.outcome + detail, answer.label, _cell(answer.why), _cell(answer.text))
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    short = " ".join(text.split())
    short = short if len(short) <= 160 else short[:157] + "..."
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|~" else sign for sign in short)


if __name__ == "__main__":
    PAGE.write_text(_page(graded(), graded(WRITTEN)), "utf-8")
