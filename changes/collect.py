"""Collect the fragments of this folder into a section of CHANGELOG.md, by Keep a Changelog.

Run: make changelog VERSION=1.2.3
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")


def fragments(folder: Path) -> dict[str, list[Path]]:
    """The files by kind, in the order of the sections. Raises ``ValueError`` where one has another kind or no text."""
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        kind = path.name.split(".")[-2]
        if kind not in found or not path.read_text("utf-8").strip():
            raise ValueError(f"{path.name}: write a sentence into NAME.KIND.md, KIND one of {', '.join(KINDS)}")
        found[kind].append(path)
    return found


def section(version: str, day: str, found: dict[str, list[Path]]) -> str:
    """A version's part of the changelog; further lines of a fragment belong to its item."""
    parts = [f"## [{version}] - {day}\n"]
    for kind, paths in found.items():
        if paths:
            texts = [path.read_text("utf-8").strip().replace("\n", "\n  ") for path in paths]
            parts.append(f"### {kind.capitalize()}\n\n" + "".join(f"- {text}\n" for text in texts))
    return "\n".join(parts)


def collected(changelog: str, new: str) -> str:
    """The changelog with the new section before the latest one."""
    first = re.search(r"^## ", changelog, re.MULTILINE)
    at = first.start() if first else len(changelog)
    return f"{changelog[:at]}{new}\n{changelog[at:]}"


def main() -> None:
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[1]):
        sys.exit("give the version: make changelog VERSION=1.2.3")
    try:
        found = fragments(HERE)
    except ValueError as exc:
        sys.exit(str(exc))
    if not any(found.values()):
        sys.exit("changes/ has no fragment: nothing to collect")
    changelog = HERE.parent / "CHANGELOG.md"
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    changelog.write_text(collected(changelog.read_text("utf-8"), section(sys.argv[1], today, found)), "utf-8")
    for paths in found.values():
        for path in paths:
            path.unlink()


if __name__ == "__main__":
    main()
