"""Fills the pages in docs/ from bench/results: a benchmark's lines in its block, a figure where the prose quotes it.

Run: python bench/page.py [--check]. Rewrites the pages; with --check it changes nothing and fails where one differs.

A block stands between ``<!-- bench: NAME -->`` and ``<!-- /bench -->``; ``<!-- bench: NAME | PART -->`` takes what was
printed under the heading ``## PART``. A figure in the prose is written
``<!-- figure: NAME | FIGURE | VALUE | FORMAT -->7.1<!-- / -->``, where VALUE is median, least or greatest and FORMAT a
Python format such as .1f.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from harness import RESULTS, ROOT, Figure, Results, load

BLOCK = re.compile(r"<!-- bench: (?P<name>\w+)(?: \| (?P<part>[\w ]+))? -->\n.*?<!-- /bench -->", re.DOTALL)
FIGURE = re.compile(r"<!-- figure: (?P<what>[^>]+?) -->(?:(?!<!--).)*?<!-- / -->", re.DOTALL)


def fill(page: str, results: Mapping[str, Results]) -> str:
    """The page with every block and figure as the results files have them.

    Raises:
        KeyError: a benchmark, part or figure that is not there.
    """
    page = BLOCK.sub(lambda found: _block(found["name"], found["part"], results), page)
    return FIGURE.sub(lambda found: _figure(found["what"], results), page)


def _block(name: str, part: str | None, results: Mapping[str, Results]) -> str:
    found = results[name]
    begin = f"<!-- bench: {name}{f' | {part}' if part else ''} -->"
    texts = [_source(found), _lines(found, part), _targets(found)]
    return "\n".join([begin, "\n\n".join(text for text in texts if text), "<!-- /bench -->"])


def _source(found: Results) -> str:
    """Which command gave the lines: when, on what machine and at what commit."""
    if found.date is None:
        return f"`{found.command}` has not been measured yet."
    commit = f"commit {found.commit}" if found.commit else "commit unknown"
    return f"`{found.command}`, {found.date}, {commit}, {found.machine}:"


def _lines(found: Results, part: str | None) -> str:
    lines = found.lines
    if part:
        begin = lines.index(f"## {part}") + 1
        ends = [number for number, line in enumerate(lines) if number >= begin and line.startswith("## ")]
        lines = lines[begin : ends[0] if ends else None]
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    if not text:
        return ""
    return text if found.markdown else f"```\n{text}\n```"


def _targets(found: Results) -> str:
    """Which targets are met; empty where there are none."""
    held = [figure for figure in found.figures if figure.at_most is not None or figure.at_least is not None]
    if not held or found.date is None:
        return ""
    sentences = []
    missed = [figure for figure in held if figure.met is False]
    unknown = [figure.name for figure in held if figure.met is None]
    if len(missed) + len(unknown) < len(held):
        met = len(held) - len(missed) - len(unknown)
        sentences.append(f"Targets met: {'all' if met == len(held) else met} of {len(held)}.")
    if missed:
        sentences.append(f"Missed: {'; '.join(map(_missed, missed))}.")
    if unknown:
        sentences.append(f"Not measured yet: {'; '.join(unknown)}.")
    return textwrap.fill(" ".join(sentences), 120, break_long_words=False, break_on_hyphens=False)


def _missed(figure: Figure) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{figure.name}, {figure.median:.4g}{unit} {figure.target}"


def _figure(what: str, results: Mapping[str, Results]) -> str:
    name, figure, value, form = what.split(" | ")
    found = next((each for each in results[name].figures if each.name == figure), None)
    if found is None:
        raise KeyError(f'{name} has no figure "{figure}"')
    number = getattr(found, value)
    return f"<!-- figure: {what} -->{'unknown' if number is None else format(number, form)}<!-- / -->"


def pages() -> list[Path]:
    """Every page with a block."""
    return [path for path in sorted((ROOT / "docs").rglob("*.md")) if BLOCK.search(path.read_text("utf-8"))]


def main() -> None:
    results = {path.stem: load(path) for path in sorted(RESULTS.glob("*.json"))}
    stale = []
    for path in pages():
        text = path.read_text("utf-8")
        filled = fill(text, results)
        if filled == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if sys.argv[1:] != ["--check"]:
            path.write_text(filled, "utf-8")
    if stale and sys.argv[1:] == ["--check"]:
        raise SystemExit(f"not up to date: {', '.join(stale)}: run `python bench/page.py`")
    print(f"pages: {', '.join(stale) or 'all up to date'}")


if __name__ == "__main__":
    main()
