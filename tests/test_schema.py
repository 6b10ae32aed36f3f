"""The published JSON: schemas and field tables in docs/ are made here; tests/test_schema_real.py holds output to them.

Rewrite them with `python tests/test_schema.py`.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskpace.analysis import compare
from taskpace.analysis.across import sweeps
from taskpace.analysis.compare import ComparedRuns
from taskpace.analysis.judge import agreement as judge, preferences
from taskpace.analysis.schema import across, summary as views
from taskpace.analysis.stats import estimates
from taskpace.analysis.table import comparison, pairs, phases, settled, splits
from taskpace.analysis.whatif import fitting, places, speed, whatif
from taskpace.experiment import until
from taskpace.prices import price
from taskpace.records import OUTCOMES

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "summary-json.md"
PUBLISHED: dict[str, tuple[type[msgspec.Struct], int]] = {
    "summary": (views.Summary, views.SCHEMA_VERSION),
    "compare": (ComparedRuns, compare.COMPARISON_VERSION),
    "judge": (judge.Judged, judge.SCHEMA_VERSION),
    "whatif": (whatif.WhatIf, whatif.WHATIF_VERSION),
}
"""File name, what is published, and the version of it."""
REMEDY = "run `python tests/test_schema.py`"

NO_DOCSTRING = {
    "Summary.schema_version": "Version of this format; see above.",
    "Summary.name": "The experiment's name.",
    "Summary.planned": "Trials planned.",
    "Summary.done": "Trials recorded; fewer than planned in an unfinished run.",
    "Summary.tables": "One for each task and scenario, in the experiment's order.",
    "TaskTable.task": "The task's name.",
    "TaskTable.scenario": "`single`, `concurrency=N` or `rate=R`.",
    "MeasuredRow.system": "The system's name.",
    "MeasuredRow.valid": "Its measurement is not broken. An INVALID row is shown and not ranked.",
    "MeasuredRow.reasons": "What limits the claims, most severe first.",
    "MeasuredRow.planned": "Trials planned.",
    "MeasuredRow.outcomes": "How many trials ended in which way; outcomes that did not occur are left out.",
    "MeasuredRow.task_time_median_s": "Dispatch to the last byte of the answer, median.",
    "MeasuredRow.task_time_mean_s": "Mean task time.",
    "MeasuredRow.task_time_p95_s": "From 130 trials on.",
    "MeasuredRow.task_time_p99_s": "From 662 trials on.",
    "MeasuredRow.ttft_median_s": "Dispatch to the first generated token of any kind.",
    "MeasuredRow.first_answer_median_s": "Dispatch to the first visible token.",
    "MeasuredRow.committed_median_s": "Dispatch to the moment after which the answer no longer changed.",
    "MeasuredRow.tpot_median_s": "Seconds per output token after the first.",
    "MeasuredRow.bytes_per_s_median": "Bytes written, reasoning included, per second after the first token.",
    "MeasuredRow.output_tokens_median": "Output tokens, reasoning and end-of-sequence included.",
    "MeasuredRow.output_bytes_median": "UTF-8 bytes of visible text.",
    "MeasuredRow.reasoning_bytes_median": "UTF-8 bytes of reasoning.",
    "MeasuredRow.solve_curve": "Share solved by deadline, on deadlines that the table's rows share; empty without "
    "right answers.",
    "SystemRow.rank_tokens_per_s": "Rank by tokens per second; null too where token counts are invalid or unknown.",
    "SystemRow.rank_time_per_correct": "Rank by time per correct answer; null too without correct answers.",
    "SystemRow.findings": "What this system's trials show by themselves.",
    "Reason.text": "What is wrong, with the figures.",
    "Finding.text": "What was found, with the figures.",
    "Finding.evidence": "The figures that it rests on, by name.",
    "SolvePoint.deadline_s": "Seconds since dispatch.",
    "Estimate.value": "The estimate; null: unknown.",
    "Estimate.low": "Lower end of the 95 % interval.",
    "Estimate.high": "Upper end of the 95 % interval.",
    "Spread.least": "The least.",
    "Spread.p25": "A quarter is below.",
    "Spread.p50": "The median.",
    "Spread.p75": "Three quarters are below.",
    "Spread.most": "The most.",
    "SweepPoint.system": "Its name.",
    "Agreement.systems": "How many are ranked.",
    "Agreement.kendall_tau_b": "Kendall's tau-b.",
    "Agreement.spearman_rho": "Spearman's rank correlation.",
    "Pair.a": "In a summary the one that leans quicker.",
    "Pair.b": "The one that is compared with it.",
    "Pair.reasoning_bytes": "Ratio of bytes of reasoning.",
    "Comparison.change": "B/A, or for accuracy B - A.",
    "Settled.pairs": "Every two systems.",
    "PairStanding.a": "The one that comes first in the experiment.",
    "PairStanding.b": "The other.",
    "PairStanding.verdict": "`a` or `b`: that one is sooner; `equivalent`: neither by more than the margin; `open`.",
    "PairStanding.low": "Lower end of its 95 % interval.",
    "PairStanding.high": "Upper end of it.",
    "Split.difference_s": "The whole.",
    "Split.wait_s": "Waiting for the first token.",
    "Split.verbosity_s": "Bytes written.",
    "Split.decode_s": "Seconds per token.",
    "Judged.schema_version": "Version of this format; see above.",
    "Judged.run_file": "The judged run's file, as the command was given it.",
    "Judged.judge_file": "The judge's.",
    "Judged.model": "Its model.",
    "Judged.planned": "Questions that the judge is to be asked.",
    "Judged.tasks": "In the experiment's order.",
    "JudgedTask.task": "Its name.",
    "JudgedTask.rows": "One for each system, in the experiment's order.",
    "JudgedTask.whole": "All systems' answers together.",
    "Said.correct": "Replies that say correct.",
    "Said.wrong": "Replies that say wrong.",
    "Disagreement.system": "Whose answer it is.",
    "Preference.a": "The one that comes first in the experiment.",
    "Preference.b": "The other.",
    "Preference.a_better": "Pairs in which both orders have A better.",
    "Preference.b_better": "Pairs in which both have B better.",
    "Preference.ties": "Pairs in which both call it a tie.",
    "Preference.contradiction_share": "Their share of the pairs.",
    "ComparedRuns": "Two runs, or two systems of one run, compared cell by cell.",
    "ComparedRuns.schema_version": "Version of this format; see above.",
    "ComparedRuns.new": "Label of what is compared with it.",
    "ComparedRuns.resamples": "Of the bootstrap; 0: none, so no probability of inversion.",
    "ComparedRuns.cells": "Every task and scenario that both have, in the baseline's order.",
    "ComparedCell.task": "The task's name.",
    "ComparedCell.scenario": "`single`, `concurrency=N` or `rate=R`.",
    "ComparedCell.base_system": "The system's name in the baseline.",
    "ComparedCell.new_system": "The name of the one compared with it.",
    "ComparedCell.base": "The baseline's numbers; not ranked, its `system` is `base`.",
    "ComparedCell.new": "The new one's numbers; not ranked, its `system` is `new`.",
    "WhatIf.schema_version": "Version of this format; see above.",
    "WhatIf.moved": "The systems that stand elsewhere, in the experiment's order.",
    "Moved.system": "Its name.",
    "Moved.speed": "What it is given.",
    "WhatIfTable.measured": "Of the run, as `taskpace summary` has it.",
    "FittingError.trials": "How many were left out of the fit and predicted.",
    "FittingError.median": "Over the trials.",
    "FittingError.p90": "The 90th percentile.",
    "Range.least": "In tokens.",
    "Range.most": "In tokens.",
}
"""What the code leaves unsaid because its names say it; a page of reference says it all the same."""


def docstrings() -> dict[str, str]:
    """``Struct`` and ``Struct.field`` with what the source says of them, in Markdown."""
    found = dict(NO_DOCSTRING)
    for module in (
        views,
        across,
        estimates,
        comparison,
        pairs,
        splits,
        phases,
        settled,
        until,
        sweeps,
        compare,
        judge,
        preferences,
        price,
        speed,
        fitting,
        places,
        whatif,
    ):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                if text := ast.get_docstring(node):
                    found[node.name] = text
                for base in (base.id for base in node.bases if isinstance(base, ast.Name)):
                    inherited = {
                        name.partition(".")[2]: text for name, text in found.items() if name.startswith(f"{base}.")
                    }
                    found = {f"{node.name}.{field}": text for field, text in inherited.items()} | found
                for field, text in _attribute_docstrings(node.body):
                    found[f"{node.name}.{field}"] = text
    return {name: " ".join(text.replace("``", "`").split()) for name, text in found.items()}


def _attribute_docstrings(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in pairwise(body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                yield field, text


def make_schema(kind: type[msgspec.Struct], version: int, name: str) -> dict[str, Any]:
    """The JSON Schema of what is published, with descriptions, pinned to its version."""
    made = msgspec.json.schema(kind)
    said = docstrings()
    definitions = made["$defs"]
    for title, definition in definitions.items():
        definition["description"] = said[title]
        # Every field is always written, those with a default too.
        definition["required"] = list(definition["properties"])
        for field, content in definition["properties"].items():
            content.pop("default", None)
            content["description"] = said[f"{title}.{field}"]
    definitions[kind.__name__]["properties"]["schema_version"]["const"] = version
    if "SystemRow" in definitions:
        definitions["SystemRow"]["properties"]["outcomes"]["propertyNames"] = {"enum": list(OUTCOMES)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:taskpace:{name}:{version}",
        "title": f"taskpace {name}, version {version}",
    } | made


def fields(schema: dict[str, Any]) -> dict[str, str]:
    """Every field of a schema with its type, as one comparable text."""
    found = {}
    for title, definition in schema["$defs"].items():
        for field, content in definition["properties"].items():
            kept = {key: value for key, value in content.items() if key not in ("description", "const")}
            found[f"{title}.{field}"] = json.dumps(kept, sort_keys=True)
    return found


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What readers of the old format would trip over in the new one though its version is the same."""
    if old["$id"] != new["$id"]:
        return []
    before, after = fields(old), fields(new)
    gone = [f"{field} is gone" for field in before if field not in after]
    return gone + [
        f"{field} is of another type" for field in before if after.get(field, before[field]) != before[field]
    ]


def schema_file(name: str) -> Path:
    return DOCS / f"{name}-schema.json"


def type_in_words(content: dict[str, Any]) -> str:
    """A schema's type for the page: ``number or null``, ``list of SystemRow``."""
    if "$ref" in content:
        return f"[{content['$ref'].split('/')[-1]}](#{content['$ref'].split('/')[-1].lower()})"
    if "anyOf" in content:
        return " or ".join(type_in_words(part) for part in content["anyOf"])
    if "enum" in content:
        return " or ".join("null" if value is None else f"`{value}`" for value in content["enum"])
    if content["type"] == "array":
        return f"list of {type_in_words(content['items'])}"
    if content["type"] == "object":
        return f"{type_in_words(content['additionalProperties'])} by name"
    return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(
        content["type"], content["type"]
    )


def field_tables(schema: dict[str, Any], leave_out: set[str]) -> str:
    parts = []
    for title, definition in schema["$defs"].items():
        if title not in leave_out:
            rows = [
                f"| `{field}` | {type_in_words(content)} | {content['description']} |"
                for field, content in definition["properties"].items()
            ]
            head = f"### {title}\n\n{definition['description']}\n\n| field | type | meaning |\n| --- | --- | --- |\n"
            parts.append(head + "\n".join(rows))
    return "\n\n".join(parts)


def page_with_tables(page: str) -> str:
    """The page with the tables between its markers made again."""
    schemas = {name: make_schema(*published, name) for name, published in PUBLISHED.items()}
    told: set[str] = set()
    for name, schema in schemas.items():
        tables = field_tables(schema, told)
        told |= set(schema["$defs"])
        marker = f"<!-- fields of {name}: made by tests/test_schema.py -->"
        before, _, rest = page.partition(marker)
        page = f"{before}{marker}\n\n{tables}\n\n{marker}{rest.partition(marker)[2]}"
    return page


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schema_is_that_of_the_code(name):
    """The file in docs/ is what the code makes; a field that goes or changes its type needs a new version."""
    from jsonschema import Draft202012Validator

    committed = json.loads(schema_file(name).read_text("utf-8"))
    made = make_schema(*PUBLISHED[name], name)
    broken = breaks(committed, made)
    assert not broken, f"{', '.join(broken)}: raise the schema version, then {REMEDY}"
    assert committed == made, f"docs/{name}-schema.json is not up to date: {REMEDY}"
    Draft202012Validator.check_schema(committed)


def test_the_page_has_the_fields_of_the_code():
    """The tables of the page are those of the schemas, so every field is explained."""
    page = PAGE.read_text("utf-8")
    assert page == page_with_tables(page), f"docs/summary-json.md is not up to date: {REMEDY}"
    assert page.count("| `par2_limit_s` |") == 1


def test_every_explanation_is_needed():
    """What is explained here is a field that there is, and that the code itself does not explain."""
    names = {field for name, published in PUBLISHED.items() for field in fields(make_schema(*published, name))}
    names |= {title for name, published in PUBLISHED.items() for title in make_schema(*published, name)["$defs"]}
    assert set(NO_DOCSTRING) <= names
    assert {name: text for name, text in docstrings().items() if name in NO_DOCSTRING} == NO_DOCSTRING


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda schema: schema["$defs"]["Pair"]["properties"].pop("a"), ["Pair.a is gone"]),
        (lambda schema: schema["$defs"].pop("Reason"), ["Reason.code is gone", "Reason.text is gone"]),
        (
            lambda schema: schema["$defs"]["SystemRow"]["properties"]["n"].update(type="string"),
            ["SystemRow.n is of another type"],
        ),
        (lambda schema: schema["$defs"]["Pair"]["properties"].update(c={"type": "string"}), []),
        (lambda schema: schema["$defs"]["Pair"]["properties"]["a"].update(description="else"), []),
        (lambda schema: (schema["$defs"].pop("Pair"), schema.update({"$id": "urn:taskpace:summary:99"})), []),
    ],
    ids=["field-gone", "struct-gone", "type", "new-field", "words", "new-version"],
)
def test_what_breaks_readers_is_noticed(change: Callable, told: list[str]):
    """A field that went or changed its type is named; new fields, other words and a new version are fine."""
    old = make_schema(*PUBLISHED["summary"], "summary")
    new = copy.deepcopy(old)
    change(new)
    assert breaks(old, new)[: len(told)] == told
    assert bool(breaks(old, new)) == bool(told)


def main() -> None:
    """Rewrite schemas and page; refuse to publish under an old version what its readers would trip over."""
    for name, published in PUBLISHED.items():
        made = make_schema(*published, name)
        if schema_file(name).exists() and (broken := breaks(json.loads(schema_file(name).read_text("utf-8")), made)):
            sys.exit(f"{', '.join(broken)}: raise the schema version first; nothing is written")
        schema_file(name).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page_with_tables(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
