"""The documentation site: built strictly by zensical, and every link in what was built followed, offline.

`python -m tests.documentation FOLDER` builds it there. What zensical does not check is checked on the built pages:
links to files beside the pages, anchors in rendered HTML, the navigation, and that nothing is loaded from the network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "mkdocs.yml"
_SOURCES = ("docs", "src")
_LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src")}
"""Elements and attributes that a browser fetches by itself."""
_NOT_FETCHED = ("canonical", "prev", "next", "alternate")
"""Relations of a `link` that is only followed."""
_WATCHER = "Watcher disconnected"
"""What zensical 0.0.73 fails with now and then, before it builds anything, on a machine that has no core to spare."""
_TRIES = 3
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
REPORTS = "-report.html"
"""Reports of taskpace that the site hands on as they are; tests/page holds them to their own rules."""


class Page(HTMLParser):
    """The links of a page, what it has a browser load, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name in ("href", "src"):
            if name in given and "mermaid" not in given[name]:
                fetched = (tag, name) in _LOADED and given.get("rel", "") not in _NOT_FETCHED
                (self.loads if fetched else self.links).append(given[name])


def build(folder: Path) -> str:
    """Build the site into ``folder``; what zensical said. Raises ``RuntimeError`` where it warns or fails.

    It is built from a copy: zensical keeps its cache beside its configuration.
    """
    with tempfile.TemporaryDirectory() as copy:
        for name in _SOURCES:
            shutil.copytree(ROOT / name, Path(copy) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(CONFIG, Path(copy) / CONFIG.name)
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", CONFIG.name]
        for _ in range(_TRIES):
            done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
            said = _COLOURS.sub("", done.stdout + done.stderr)
            if _WATCHER not in said:
                break
        if done.returncode != 0:
            raise RuntimeError(said)
        shutil.copytree(Path(copy) / "site", folder, dirs_exist_ok=True)
        return said


def problems(folder: Path) -> Iterator[str]:
    """Every link of the built site that leads nowhere, and everything that would be loaded from the network."""
    pages = {
        path.resolve(): Page(path.read_text("utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if not path.name.endswith(REPORTS) and path.name != "404.html"
    }
    for path, page in pages.items():
        where = path.relative_to(folder.resolve())
        for link in page.loads:
            if urlsplit(link).netloc:
                yield f"{where}: loads {link}"
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{where}: {link}: no such file"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where}: {link}: no such anchor"


def navigation() -> list[str]:
    """Every page that the navigation names."""

    def pages(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            yield from pages(list(entry.values()))
        elif isinstance(entry, list):
            for each in entry:
                yield from pages(each)

    return list(pages(yaml.safe_load(CONFIG.read_text("utf-8"))["nav"]))


def main() -> None:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    try:
        build(folder)
    except RuntimeError as exc:
        sys.exit(str(exc))
    if found := list(problems(folder)):
        sys.exit("\n".join(found))
    print(f"the site is {folder / 'index.html'}")


if __name__ == "__main__":
    main()
