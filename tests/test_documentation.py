"""The documentation site is built strictly, and its links, anchors, navigation and search work without a network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.browser import FLAGS, executable
from tests.documentation import ROOT, build, navigation, problems

import taskpace

DOCS = ROOT / "docs"
OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
"""Pages of the repository that link into docs/."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    return folder


@pytest.mark.slow
def test_every_link_leads_somewhere_and_nothing_is_loaded_from_the_network(site):
    """Pages, files and anchors that are linked to are there; scripts, styles, fonts and pictures are the site's own."""
    assert list(problems(site)) == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(https?:[^)]*)", styles) == []


@pytest.mark.slow
def test_search_finds_without_a_server(site):
    """The index is a script that a page opened from a disk may load, and it knows what a reader looks for."""
    index = next(site.rglob("search*.js*"))
    texts = "".join(path.read_text("utf-8") for path in site.glob("search*"))
    for words in ("--until", "time per correct answer", "api_key_env", "quick_experiment"):
        assert words in texts, (index, words)


@pytest.mark.slow
def test_the_python_interface_is_rendered_from_its_docstrings(site):
    """Every exported name has an anchor, and the first line of its docstring stands on the page."""
    page = (site / "reference" / "python.html").read_text("utf-8")
    for name in set(taskpace.__all__) - {"__version__"}:
        assert f'id="taskpace.{name}"' in page, name
    assert "Carry out an experiment, or the rest of it, and open the result." in page


def test_every_page_is_in_the_navigation_once():
    """No page is left out of the navigation, and every entry of the navigation has its page."""
    named = navigation()
    assert sorted(named) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_links_of_the_pages_outside_lead_somewhere():
    """What README and its neighbours link to in this repository is there, with its heading."""
    missing = []
    for name in OUTSIDE:
        links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", (ROOT / name).read_text("utf-8"))
        for path, anchor in links:
            target = ROOT / (path or name)
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append((name, path, anchor))
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The headings of a Markdown page, as links name them."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_schemas_are_linked_from_their_page():
    """Each JSON schema in docs/ is reachable from the reference."""
    page = (DOCS / "summary-json.md").read_text("utf-8")
    schemas = sorted(DOCS.glob("*-schema.json"))
    assert len(schemas) >= 4
    for path in schemas:
        assert f"]({path.name})" in page
        assert json.loads(path.read_text("utf-8"))["$id"].startswith("urn:taskpace:")


def test_every_decision_stands_under_a_heading():
    """The page of decisions has headings by subject, and no entry before the first of them."""
    before, *sections = re.split(r"^## .*$", (DOCS / "decisions.md").read_text("utf-8"), flags=re.MULTILINE)
    assert "**" not in before
    assert len(sections) >= 10
    assert all(re.search(r"^\*\*", section, re.MULTILINE) for section in sections)


@pytest.mark.browser
def test_a_page_opened_from_a_disk_searches_and_asks_for_nothing(site):
    """In a browser, without a server: the search finds the page of a flag, and no request leaves the machine."""
    from playwright.sync_api import sync_playwright  # the tests without a browser are collected without playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        page = chromium.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "howto" / "choose-a-model.html").as_uri())
        page.keyboard.press("Control+k")
        page.keyboard.type("api_key_env")
        page.get_by_text("Options of openai").first.wait_for()
        chromium.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
