"""The report: one HTML file that needs nothing but itself, for people to look at and to pass on."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import cycle

import jinja2
from markupsafe import Markup

from taskpace.analysis.compare import ComparedRuns
from taskpace.analysis.whole import WholeRun
from taskpace.report.page.chapter import Chapter, make_chapter
from taskpace.report.page.figure import colour_rules
from taskpace.report.page.table import Part, make_part
from taskpace.report.words.comparison import compared_document

_HERE = files("taskpace.report.page")
_CODE = re.compile(r"`((?:taskpace |--|[a-z_]+(?: = [0-9.]+)?(?=`))[^`]*)`")
"""In our own sentences; a name of a reader's that has such marks may become code, and is escaped as any other."""


def page_parts(runs: list[WholeRun], compared: list[ComparedRuns]) -> Iterator[bytes]:
    """The page's bytes, in parts; the same runs give the same bytes.

    Args:
        runs: each becomes a chapter.
        compared: comparisons between them, for the end.
    """
    chapters: list[Chapter] = [make_chapter(run, number) for number, run in enumerate(runs)]
    comparisons: list[Part] = [
        make_part(compared_document(one), f"comparison{number}") for number, one in enumerate(compared)
    ]
    script = _HERE.joinpath("page.js").read_text("utf-8")
    template = _templates().get_template("page.html.jinja")
    for part in template.generate(
        title=", ".join(chapter.name for chapter in chapters),
        chapters=chapters,
        comparisons=comparisons,
        style=Markup(colour_rules() + _HERE.joinpath("page.css").read_text("utf-8")),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        script_hash=base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
    ):
        yield part.encode()


def _templates() -> jinja2.Environment:
    """Whatever a run holds is escaped; a name that the template misspells is an error."""
    made = jinja2.Environment(
        autoescape=True,
        keep_trailing_newline=True,
        loader=jinja2.FunctionLoader(lambda name: _HERE.joinpath(name).read_text("utf-8")),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["prose"] = prose
    return made


def prose(text: str) -> Markup:
    """A sentence of ours, escaped, with its commands, flags and keys as code."""
    parts = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd else part
        for part, odd in zip(parts, cycle((False, True)), strict=False)
    )
