"""Keep replaced words out of what taskpace says: ``python tests/words/check.py`` (part of ``make check``).

``words.toml`` beside this file lists the phrases and what to write instead. Read are the strings, docstrings and
comments of ``src`` and ``bench``, the docstrings and comments of ``tests`` (their strings are often model output), and
all text of the documentation and the examples. Code is not read: a phrase may be an identifier. A line with
``words: as it is`` is left out.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("words.toml")
WAIVED = "words: as it is"


class Rule(NamedTuple):
    phrase: re.Pattern[str]
    instead: str


class Found(NamedTuple):
    file: Path
    line: int
    phrase: str
    instead: str


def rules(text: str) -> tuple[list[Rule], list[str]]:
    """The rules of a word list, and the glob patterns of the files that it leaves out.

    Raises:
        ValueError: a phrase is listed twice, or is not a regular expression.
    """
    listed = tomllib.loads(text)
    made = []
    for entry in listed["phrase"]:
        try:
            # A space of a phrase is also a line end, with the comment sign or the indent of the next line.
            made.append(Rule(re.compile(entry["match"].replace(" ", r"(?:\s+(?:#\s*|--\s*|>\s*)?)")), entry["instead"]))
        except re.error as exc:
            raise ValueError(f"{entry['match']}: {exc}") from exc
    if len({rule.phrase for rule in made}) < len(made):
        raise ValueError("a phrase is listed twice")
    return made, listed["without"]


def prose(file: Path, text: str) -> Iterator[tuple[int, str]]:
    """The parts of a file that are read by people, each with the number of its first line."""
    if file.suffix != ".py":
        yield 1, text
        return
    strings = not file.is_relative_to(ROOT / "tests")
    docstrings = _docstrings(text)
    run: list[str] = []  # comments on lines of their own that follow each other are one text
    first = 0
    kinds = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row = token.start[0]
        if token.type == tokenize.COMMENT:
            if run and row == first + len(run):
                run.append(token.string)
                continue
            yield first, "\n".join(run)
            run, first = [token.string], row
        elif token.type in kinds and (strings or row in docstrings):
            yield row, token.string
    yield first, "\n".join(run)


def _docstrings(text: str) -> set[int]:
    """First lines of the strings that are statements: docstrings of modules, classes, functions and fields."""
    return {
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


def search(file: Path, text: str, phrases: list[Rule]) -> Iterator[Found]:
    """Every listed phrase in the prose of a file."""
    lines = text.split("\n")
    for first, part in prose(file, text):
        for rule in phrases:
            for match in rule.phrase.finditer(part):
                line = first + part.count("\n", 0, match.start())
                if WAIVED not in lines[line - 1]:
                    yield Found(file, line, " ".join(match[0].split()), rule.instead)


def files(without: list[str]) -> list[Path]:
    """What the check reads, by name."""
    wanted = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "action.yml")]
    endings = (".py", ".md", ".toml", ".sql", ".j2", ".html", ".js", ".svg")
    for folder in ("src", "tests", "bench", "docs", "examples"):
        wanted += [file for file in sorted((ROOT / folder).rglob("*")) if file.suffix in endings and file.is_file()]
    return [file for file in wanted if not any(file.relative_to(ROOT).match(each) for each in without)]


def main() -> int:
    phrases, without = rules(LIST.read_text(encoding="utf-8"))
    found = [
        each for file in files(without) if file.exists() for each in search(file, file.read_text("utf-8"), phrases)
    ]
    for each in found:
        print(f'{each.file.relative_to(ROOT)}:{each.line}: "{each.phrase}": {each.instead}')
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
