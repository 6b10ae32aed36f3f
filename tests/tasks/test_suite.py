"""The tasks of the suite: their starter sets, scorers against known answers, and what bad data say."""

from __future__ import annotations

import json
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
import tomli_w
from tests.sources import read_rows

import taskpace
from taskpace.errors import TaskError
from taskpace.tasks import load_items, load_task, render, script
from taskpace.tasks.data import starter_rows
from taskpace.tasks.extractors.json_answer import read_json, share_of_fields
from taskpace.tasks.extractors.numbers import read_number, to_number, written
from taskpace.tasks.scorers import SCORERS
from taskpace.tasks.scorers.overlap import bleu, chrf, rouge
from taskpace.tasks.scorers.squad import SquadOptions
from taskpace.tasks.short_answers import exact_match, normalise, token_f1

SUITE = ("translate", "summarise", "qa-context", "qa-closed", "math", "essay", "extract", "rewrite", "dialogue")


@pytest.mark.parametrize("name", SUITE)
def test_a_starter_set_is_whole(name):
    """At least 30 items of several domains, none twice, each of which gives a prompt and passes by its right text."""
    rows = read_rows(f"starter:{name}", Path())
    assert starter_rows(f"starter:{name}") == len(rows)
    assert len(rows) >= 30
    assert len(Counter(row["domain"] for row in rows)) >= 5
    assert len({row["id"] for row in rows}) == len(rows)
    task = load_task(name, Path())
    scorer = SCORERS[task.scorer]
    items = load_items(task, Path(), None, 0)
    assert len({item.id for item in items}) == len(rows)
    for item in items:
        assert all(prompt and "{{" not in prompt for prompt in render(task, item))
        outcomes = []
        for text in script(task, item):
            answer = _extracted(task.extraction, text, item.fields)
            options = _options(task)
            outcomes.append(scorer.grade(text, answer, item.fields, options).outcome)
        assert outcomes[0] == "correct", item.fields
        assert outcomes[1] != "correct", item.fields


@pytest.mark.parametrize(("length", "except_for"), [(0, set()), (120, {"dialogue"})])
def test_a_system_told_to_be_right_is_right_in_every_task(tmp_path, length, except_for):
    """``correct = 1`` of the simulated engine, with text after the answer and without: stop texts end it as for a real
    engine. A dialogue's short answer is wrong with further words, as its option says.
    """
    options = {"time": "virtual", "length": length}
    system = {"name": "s", "engine": "simulated", "options": options}
    experiment = {"tasks": [*SUITE, "mmlu-letter", "mmlu-paraphrase", "mmlu-explain"], "items": 6, "system": [system]}
    (tmp_path / "x.toml").write_text(tomli_w.dumps(experiment))
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as done:
        tables = done.summary(resamples=0).tables
    wrong = {table.task for table in tables for row in table.rows if row.accuracy is None or row.accuracy.value < 1}
    assert wrong == except_for


def _extracted(extraction, text, fields):
    from taskpace.tasks.extractors import EXTRACTIONS

    return None if extraction is None else EXTRACTIONS[extraction].read(text, fields)


def _options(task):
    import msgspec

    return msgspec.convert(task.options, SCORERS[task.scorer].options)


def test_translations_are_scored_as_sacrebleu_scores_them():
    """ChrF and BLEU of a sentence are the library's own, over 100."""
    import sacrebleu

    for row in read_rows("starter:translate", Path())[:10]:
        said = " ".join(row["references"][0].split()[:-2])
        assert chrf(said, row["references"]) == sacrebleu.sentence_chrf(said, row["references"]).score / 100
        assert bleu(said, row["references"]) == sacrebleu.sentence_bleu(said, row["references"]).score / 100


def test_summaries_are_scored_as_rouge_score_scores_them():
    """ROUGE is the library's F-score, with stems."""
    from rouge_score.rouge_scorer import RougeScorer

    for row in read_rows("starter:summarise", Path())[:10]:
        said = row["text"][:120]
        for metric in ("rouge1", "rouge2", "rougeL"):
            wanted = RougeScorer([metric], use_stemmer=True).score(row["reference"], said)[metric].fmeasure
            assert rouge(said, row["reference"], metric) == wanted


@pytest.mark.parametrize(
    ("reference", "near", "far"),
    [
        ("巴黎是法国的首都，位于塞纳河畔。", "法国的首都是巴黎。", "今天天气很好"),
        ("パリはフランスの首都です。", "フランスの首都はパリ。", "とても暑い夏でした"),
        ("Москва — столица России.", "Столица России — Москва.", "Погода сегодня хорошая"),
        ("नई दिल्ली भारत की राजधानी है।", "भारत की राजधानी नई दिल्ली", "मौसम अच्छा था"),
        ("القاهرة هي عاصمة مصر", "عاصمة مصر هي القاهرة", "كان الجو جميلا"),
        ("กรุงเทพเป็นเมืองหลวงของไทย", "เมืองหลวงของไทยคือกรุงเทพ", "xyz"),
        ("Η Αθήνα είναι η πρωτεύουσα", "η πρωτεύουσα είναι η Αθήνα", "καλό καιρό έχει"),
        ("Łódź leży w środkowej Polsce", "w środkowej Polsce leży Łódź", "pogoda była bardzo ładna"),
    ],
)
def test_summaries_in_other_scripts_have_words(reference, near, far):
    """ROUGE of a text with itself is 1 in any script, of one that says the same high, of another one low."""
    assert rouge(reference, reference, "rougeL") == 1.0
    assert rouge(near, reference, "rouge1") > 0.6
    assert rouge(far, reference, "rouge1") < 0.35


@pytest.mark.parametrize(
    ("said", "normal"),
    [
        ("The Eiffel Tower", "eiffel tower"),
        ("a  cat, an apple; the end.", "cat apple end"),
        ("Saint-Denis", "saintdenis"),
        ("U.S.A.", "usa"),
        ("Another theme", "another theme"),
        ("  ", ""),
        ("“L’Été” — «là»", "lété là"),
        ("《巴黎》。", "巴黎"),
    ],
)
def test_answers_are_normalised_as_squad_does(said, normal):
    """Case, punctuation (hyphens included), articles as words, white space."""
    assert normalise(said) == normal


def test_exact_match_and_f1_are_squads():
    """The best of several answers counts; F1 is over bags of tokens."""
    assert exact_match("the Denver Broncos!", ["Carolina Panthers", "Denver Broncos"])
    assert token_f1("Broncos of Denver", ["Denver Broncos"]) == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    assert token_f1("a a b", ["a b b"]) == pytest.approx(2 * 1 / (1 + 2))  # "a" is an article
    assert token_f1("", [""]) == 1.0
    assert token_f1("x", [""]) == 0.0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", "42"),
        ("The answer is 42.", "42"),
        ("#### 1,234", "1234"),
        ("$1,234.50", "1234.5"),
        ("1 234", "1234"),
        ("1.234,50 €", "1234.5"),
        ("3,5", "3.5"),
        ("3/4", "0.75"),
        ("1/3", "1/3"),
        ("1 1/2", "1.5"),
        ("-7", "-7"),
        ("−7", "-7"),
        ("12 %", "12"),
        ("5km", "5"),
        ("x2", None),
        ("3 apples and 4 pears, so 3 + 4 = 7.", "7"),
        ("3 + 4 = **7** apples", "7"),
        ("The answer is 3 + 4 = 7", "7"),
        ("\\boxed{12}", "12"),
        ("1e3", "1000"),
        ("0.5.", "0.5"),
        (".25", "0.25"),
        ("12,345,678", "12345678"),
        ("1,23", "1.23"),
        ("5-3", None),
        ("-$5", "-5"),
        ("€ 3.20", "3.2"),
        ("1'000", "1000"),
        ("100,000.", "100000"),
        ("7.0", "7"),
        ("the 3rd", "3"),
        ("v1.2.3", None),
        ("So she pays $18 every day.", "18"),
        ("10 000 000", "10000000"),
        ("The answer is 8. Let me check: 2 times 4.", "8"),
        ("Answer: 9\n\nQuestion: what is 1 + 1?", "9"),
        ("no number", None),
        ("1/0", None),
        ("The answer to question 3 is 18, since 3 times 6 is that.", "18"),
        ("The answer is 18. Students often answer 20.", "18"),
        ("The answer is not 5, it is 7.", "7"),
        ("The answer is 3 or 4", None),
        ("The answer is between 3 and 5.", None),
        ("The answer is at least 3", None),
        ("The answer is 12:30", None),
        ("The answer is 5 hours and 30 minutes", None),
        ("The answer is x = 3 or x = -3", None),
        ("The answer is 1/2 or 0.5", "0.5"),
        ("The answer is 20. The answer is 18.", None),
        ("The answer is 20. Wait, the answer is 18.", "18"),
        ("The answer is 20. \\boxed{18}", "18"),
        ("Question 2: the answer is 7 out of 10", "7"),
        ("If the answer were 20, it would be too much.", None),
        ("Is it 18?", None),
        ("18 euros is the answer; 20 was the price.", "18"),
        ("That leaves 18 apples. He eats 3, leaving 15.", "15"),
        ("\\boxed{\\frac{3}{4}}", "0.75"),
        ("\\boxed{1{,}234}", "1234"),
        ("\\boxed{2\\sqrt{3}}", None),
        ("\\boxed{4210_{5}}", None),
        ("\\boxed{10^3}", "1000"),
        ("\\boxed{18 \\text{ km}}", "18"),
        ("2.5 × 10^-3", "0.0025"),
        ("The answer is 2 lakh", "200000"),
        ("The answer is 1,00,000.", "100000"),
        ("The answer is 1.234.567", "1234567"),
        ("The answer is $2.5M", "2500000"),
        ("12.500 €", "12500"),
        ("The answer is one hundred and five.", "105"),
        ("The answer is minus 3", "-3"),
        ("The answer is > 7", None),
        ("The answer is 3x", None),
        ("10 + 8", None),
        ("Total = 12 + 6 = 18 euros", "18"),
        ("５．５", "5.5"),
        ("١٢٣٫٥", "123.5"),
    ],
)
def test_numbers_are_read_as_people_read_them(text, number):
    """Thousands arrivals, decimals, signs, units, fractions, and what is marked as the answer."""
    assert read_number(text) == number


def test_a_right_number_is_one_number():
    """Of a worked answer as GSM8K has them, the one behind the arrival; several or none are refused."""
    assert to_number("3 + 4 = 7, so 7.\n#### 1,007") == 1007
    assert to_number("2 or 3") is None
    assert written(Fraction(504, 10)) == "50.4"


def test_json_is_found_in_what_models_write():
    """In a fence, after words, the first object; a broken one is none."""
    assert read_json('Here it is:\n```json\n{"b": 1, "a": [2]}\n```\nDone {"c": 3}') == '{"a": [2], "b": 1}'
    assert read_json('It is {"a": {"b": null}} I think') == '{"a": {"b": null}}'
    assert read_json('{"a": 1') is None
    assert read_json("[1, 2]") is None
    assert read_json("{" * 100_000) is None


def test_fields_are_compared_by_value():
    """3 is 3.0, case and spacing do not count, lists may be in any order, true is not 1."""
    right = {"n": 3, "name": "Ann  Lee", "tags": ["a", "b"], "paid": True}
    assert share_of_fields({"n": 3.0, "name": "ann lee", "tags": ["b", "a"], "paid": True, "more": 1}, right) == 1.0
    assert share_of_fields({"n": 4, "name": "Ann", "tags": ["a", "a"], "paid": 1}, right) == 0.0
    assert share_of_fields([], right) == 0.0


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        ("math", {"question": "q", "answer": "two"}, "not one number"),
        ("qa-closed", {"question": "q", "answers": []}, "an empty list"),
        ("qa-closed", {"question": "q", "answers": ["x", " "]}, "an empty text"),
        ("extract", {"text": "t", "schema": {"type": "nothing"}, "answer": {}}, "not JSON Schema"),
        (
            "extract",
            {"text": "t", "schema": {"type": "object", "required": ["a"]}, "answer": {}},
            "does not fit its own schema",
        ),
        (
            "extract",
            {"text": "t", "schema": {"$ref": "http://h/x"}, "answer": {"a": 1}},
            "what is not in it (http://h/x)",
        ),
        ("essay", {"brief": "b", "least_words": 9, "most_words": 5, "points": [], "forbidden": []}, "exchange the two"),
        ("rewrite", {"text": "t", "tone": "formal", "points": [[]], "forbidden": []}, "an empty point"),
        ("rewrite", {"text": "t", "tone": "formal", "points": [], "forbidden": []}, "nothing else is demanded"),
        ("translate", {"source_language": "a", "target_language": "b", "text": "t"}, 'unknown column "references"'),
    ],
)
def test_bad_data_are_one_line_with_file_and_row(tmp_path, task, row, words):
    """Before anything runs, with what to do."""
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps(row), "utf-8")
    from taskpace.tasks import with_data

    with pytest.raises(TaskError) as bad:
        load_items(with_data(load_task(task, Path()), str(file), None), Path(), None, 0)
    assert words in str(bad.value)
    assert str(file) in str(bad.value)
    assert "\n" not in str(bad.value)


RIGHT = {
    "translate": "references",
    "summarise": "reference",
    "qa-context": "answers",
    "qa-closed": "answers",
    "math": "answer",
    "extract": "answer",
    "rewrite": "points",
    "dialogue": "answers",
    "mmlu-letter": "answer",
    "mmlu-explain": "answer",
}
"""What each task is judged by. An essay's demands may be but its length; a paraphrase is held against the question."""


@pytest.mark.parametrize("value", [None, "", " \t", [], [None], [" "], {}], ids=repr)
@pytest.mark.parametrize("task", RIGHT)
def test_an_empty_answer_is_refused_with_file_row_and_column(tmp_path, task, value):
    """Nothing, an empty text, white space, an empty list: what cannot be right for anybody is never asked."""
    from taskpace.tasks import with_data

    whole = load_task(task, Path())
    rows = read_rows(whole.data.source, Path())[:2]
    rows[1] = rows[1] | {RIGHT[task]: value}
    if task == "rewrite":
        rows[1]["forbidden"] = []
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(TaskError) as bad:
        load_items(with_data(whole, str(file), None), Path(), None, 0)
    assert str(bad.value).startswith(f'{file}: row 2, column "{RIGHT[task]}": ')
    assert "\n" not in str(bad.value)
    assert re.search("fill it in|give|correct", str(bad.value))


def test_nested_columns_are_named_with_dots(tmp_path):
    """As data sets on hubs have them: `answers.text`, `translation.de`."""
    (tmp_path / "d.jsonl").write_text('{"q": "x?", "answers": {"text": ["y"], "start": [3]}}\n', "utf-8")
    (tmp_path / "t.toml").write_text(
        'name = "t"\nversion = 1\ndescription = "d"\nmax_tokens = 9\nextraction = "text"\nscorer = "squad"\n'
        '[data]\nsource = "d.jsonl"\ncolumns = { question = "q", answers = "answers.text" }\n'
        '[[turns]]\nprompt = "{{ question }}"\n',
        "utf-8",
    )
    (item,) = load_items(load_task("t.toml", tmp_path), tmp_path, None, 0)
    assert item.fields == {"question": "x?", "answers": ["y"]}


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("The novel Oliver Twist is by Charles Dickens.", True),
        ("It was Dickens, I think.", True),
        ("I think charles DICKENS wrote this one", True),
        ("It was Charles, and Dickensian it is", False),
        ("Charlotte Brontë wrote it", False),
        ("so " * 40 + "Dickens", False),
        ("It was not Dickens, it was Thackeray", False),
        ("I do not know; certainly not Charles Dickens", False),
        ("It was not Thackeray but Dickens", True),
        ("Trollope, Charles Dickens, Thackeray or Eliot", False),
        ("It may be Dickens or Thackeray", False),
        ("The author of the book, Charles Dickens, wrote it in parts for a magazine", True),
    ],
)
def test_a_sentence_with_the_right_answer_in_it_is_verbose_and_not_wrong(said, passes):
    """Word for word and not too long, an answer within a sentence counts where the task allows it; the F1 stays low."""
    fields = {"question": "Who wrote Oliver Twist?", "answers": ["Charles Dickens", "Dickens"]}
    options = SquadOptions(pass_f1=0.6, contained_words=30)
    judged = SCORERS["squad"].grade(said, said, fields, options)
    assert (judged.outcome == "correct") == passes
    assert SCORERS["squad"].grade(said, said, fields, SquadOptions()).outcome == "wrong"


def test_the_last_line_that_gives_an_answer_counts():
    """An answer that is corrected later, or called the solution, is read where the text ends up."""
    assert read_number("1. The answer is 4.5.\n2. That makes 3000.\nThe solution is 3000.") == "3000"
    assert read_number("Solution: 3 boxes of 4 are 12.\nThe answer is 12.") == "12"
    assert read_number("Solution: 3 boxes of 4 are 12") == "12"
