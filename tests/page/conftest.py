"""A run worth looking at, its report, and a browser that reports everything a page should not do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from tests.browser import FLAGS, executable
from tests.commandline import run_here
from tests.in_process import workers_here
from tests.once import Once

import taskpace
from taskpace.analysis.schema.summary import Summary
from taskpace.api import Run
from taskpace.report.charts import panels
from taskpace.report.charts.panel import Panel

if TYPE_CHECKING:  # tests without a browser are collected without playwright
    from playwright.sync_api import Browser, Page

PLAIN = {"time": "virtual", "correct": 0.7}
LONG = {"kind": "lognormal", "median": 150, "sigma": 0.2}
THOUGHT = {"kind": "lognormal", "median": 110, "sigma": 0.2}
SYSTEMS = [
    {"name": "fast and wordy", "token_time": {"kind": "lognormal", "median": 0.01, "sigma": 0.2}, "length": LONG},
    {"name": "slow but brief", "token_time": {"kind": "lognormal", "median": 0.02, "sigma": 0.2}, "length": 60},
    {"name": "thinks first", "token_time": 0.012, "length": 60, "reasoning": THOUGHT, "answer_at": 0.5},
    {"name": "often fails", "faults": [{"kind": "error", "rate": 0.3, "after_tokens": 3}]},
]
UNASKED = {"cost", "energy", "energy-time", "settling"}
"""Charts that only runs have which were asked for what they show."""


def experiment_file(
    folder: Path,
    systems: list[dict[str, Any]],
    *,
    items: int = 40,
    tasks: tuple[str, ...] = ("mmlu-letter", "mmlu-explain"),
    scenarios: tuple[str, ...] = ("single", "concurrency=4"),
) -> Path:
    """An experiment on the simulated engine, in virtual time."""
    file = folder / "planted.toml"
    tables = [
        {
            "name": system["name"],
            "engine": "simulated",
            "options": PLAIN | {key: value for key, value in system.items() if key not in ("name", "sweep")},
            "sweep": system.get("sweep", {}),
        }
        for system in systems
    ]
    file.write_text(
        tomli_w.dumps(
            {
                "items": items,
                "tasks": tasks,
                "scenarios": scenarios,
                "system": tables,
            }
        ),
        "utf-8",
    )
    return file


@workers_here()
def make_planted(folder: Path) -> None:
    """A run and its report."""
    _reported(folder, "planted", SYSTEMS[1:], items=40)


@workers_here()
def make_sparse(folder: Path) -> None:
    """A run of one task with every kind of chart and outcome, and its report."""
    thinks_or_fails = SYSTEMS[2] | {"name": "thinks and often fails", "faults": SYSTEMS[3]["faults"]}
    _reported(folder, "sparse", [thinks_or_fails], items=16, tasks=("mmlu-letter",))


def _reported(folder: Path, name: str, others: list[dict[str, Any]], **settings: Any) -> None:
    swept = SYSTEMS[0] | {"sweep": {"temperature": [0, 0.7]}}
    with taskpace.run(experiment_file(folder, [swept, *others], **settings), folder / f"{name}.db") as run:
        run.report(folder / f"{name}.html")


@workers_here()
def make_several(folder: Path) -> None:
    """Two runs under the same two loads, and one report of both."""
    quick = [{"name": "slow but brief", "token_time": 0.01, "length": 60}]
    runs = []
    for name, systems in (("first", SYSTEMS[:2]), ("again", quick)):
        file = experiment_file(folder, systems, items=30, tasks=("mmlu-letter",))
        taskpace.run(file, folder / f"{name}.db").close()
        runs.append(f"{name}.db")
    done = run_here(folder, "report", *runs, "-o", "both.html", "--resamples", "100")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="session")
def planted(once: Once) -> Iterator[Run]:
    """Five systems, two of them by a sweep, two tasks, two scenarios: every chart has something to show."""
    with taskpace.open(once("planted", make_planted) / "planted.db") as run:
        yield run


@pytest.fixture(scope="session")
def summary(planted: Run) -> Summary:
    """Its summary."""
    return planted.summary()


@pytest.fixture(scope="session")
def drawn(summary: Summary) -> list[Panel]:
    """Its charts."""
    return panels(summary)


@pytest.fixture(scope="session")
def report(planted: Run) -> Path:
    """Its report."""
    return planted.path.with_suffix(".html")


@pytest.fixture(scope="session")
def sparse(once: Once) -> Iterator[Run]:
    """Three systems, two of them by a sweep, one task, two scenarios: every kind of chart, and fewer of each."""
    with taskpace.open(once("sparse", make_sparse) / "sparse.db") as run:
        yield run


@pytest.fixture(scope="session")
def sparse_report(sparse: Run) -> Path:
    """Its report: for what takes as long as a page is large."""
    return sparse.path.with_suffix(".html")


@pytest.fixture(scope="session")
def report_of_several(once: Once) -> Path:
    """A report of two runs."""
    return once("several", make_several) / "both.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: playwright's event loop would be in the way of every test that runs one of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        yield opened
        opened.close()


Open = Callable[..., Any]


@contextmanager
def _open_page(
    browser: Browser, file: Path, *, width: int = 1280, height: int = 900, **settings: Any
) -> Iterator[tuple[Page, list[str]]]:
    """A page with the file in it, and what the page has done that it should not."""
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    page = context.new_page()
    wrong: list[str] = []
    page.on("request", lambda request: wrong.append(request.url) if request.url != file.as_uri() else None)
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.goto(file.as_uri())
    if settings.get("java_script_enabled", True):
        page.wait_for_selector(".listing tbody tr")
    yield page, wrong
    context.close()
    assert wrong == []


@pytest.fixture
def opened(browser: Browser) -> Open:
    """Opens a file, and fails at the end if the page asked the network for anything, or complained."""

    @contextmanager
    def open_page(file: Path, **settings: Any) -> Iterator[Page]:
        with _open_page(browser, file, **settings) as (page, _):
            yield page

    return open_page


@pytest.fixture(scope="module")
def at_desk(report: Path, browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """The planted run's report, opened once: that takes two seconds, and most of what a reader does leaves no trace."""
    with _open_page(browser, report, color_scheme="light") as found:
        yield found


@pytest.fixture
def desk(at_desk: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page as it was opened; fails at the end if it asked the network for anything, or complained."""
    page, wrong = at_desk
    before = page.locator(".count").inner_text()
    yield page
    page.locator("form button[type=reset]").click()
    page.mouse.move(0, 0)
    page.wait_for_function("text => document.querySelector('.count').textContent === text", arg=before)
    assert wrong == []


@pytest.fixture
def violations() -> Callable[..., list[tuple[str, str]]]:
    """What axe-core, with all its rules, finds serious in a page, or in a part of it: the rule and the element."""
    from axe_playwright_python.sync_playwright import Axe

    def find(page: Page, context: str | None = None) -> list[tuple[str, str]]:
        # Of what a rule found in order only the first place is told: with all of them it takes twice as long.
        found = Axe().run(page, context=context, options={"resultTypes": ["violations"]}).response
        assert len(found["passes"]) > (20 if context is None else 0)
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [(one["id"], one["nodes"][0]["html"]) for one in serious]

    return find
