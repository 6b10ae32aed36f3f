"""Screenshots of a run's report, as docs/report.md shows them: at a desk and on a phone, light and dark.

Run: python docs/screenshots.py examples/demo.db docs/images
(after `make test`, which installs the browser).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import taskpace

sys.path.append(str(Path(__file__).parents[1]))
from tests.browser import FLAGS, executable

WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}


def open_a_trial(page: Page) -> None:
    """Filter to what was wrong, open the first trial, and bring it into view."""
    page.locator("form [name=outcome]").select_option(label="wrong")
    page.wait_for_function("() => document.querySelector('.count').textContent.includes('in all')")
    page.locator(".listing tbody th button").first.click()
    page.wait_for_selector("tr.opened")
    page.evaluate("document.querySelector('section.trials').scrollIntoView({behavior: 'instant'})")


def take(report: Path, folder: Path) -> None:
    """All pictures of a report, as PNG files in the folder."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        for device, (width, height) in WIDTHS.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                page.goto(report.as_uri())
                page.wait_for_selector(".listing tbody tr")
                page.screenshot(path=str(folder / f"report-{device}-{scheme}.png"))
                if scheme == "light":
                    page.evaluate("document.querySelector('section.task').scrollIntoView({behavior: 'instant'})")
                    page.screenshot(path=str(folder / f"report-{device}-task.png"))
                    open_a_trial(page)
                    page.screenshot(path=str(folder / f"report-{device}-trial.png"))
                context.close()
        browser.close()


def main() -> None:
    run_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        report = Path(made) / f"{run_file.stem}.html"
        with taskpace.open(run_file) as run:
            run.report(report)
        take(report, folder)


if __name__ == "__main__":
    main()
