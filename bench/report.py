"""The HTML report of 20,000 trials: its size, and how soon a browser shows the first chart, against empty pages.

Run: python bench/report.py [--rounds N] [--prompts N]; needs the browser that `make bench` or `make test` installs.
Targets: at most 15 MB; the first chart within 2 times what an empty page with the same style and script takes, plus 1
s. Beside them an empty page with Vega, Vega-Lite and Vega-Embed in it, which a report drawn in the browser would have
to start.
"""

from __future__ import annotations

import random
import re
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import msgspec
import vl_convert
from playwright.sync_api import Browser, sync_playwright

import taskpace
from harness import Bench
from taskpace.experiment.experiment import quick_experiment

sys.path.append(str(Path(__file__).parents[1]))
from tests.browser import FLAGS, executable

SYSTEMS = 4

# When a frame is about to be drawn in which the first picture has its place, or, on an empty page, the end of the body.
WATCH = """
const watch = () => {
  const found = document.querySelector(".picture svg path, #end");
  if (found && (found.id === "end" || found.closest("svg").getBoundingClientRect().height > 0)) {
    requestAnimationFrame(() => { window.shownAt = performance.now(); });
  } else requestAnimationFrame(watch);
};
requestAnimationFrame(watch);
"""


def words() -> list[str]:
    """Running text to draw from: every word of the starter questions, as often as it stands there."""
    found: list[str] = []
    asked = quick_experiment(
        models=("sim",), engine="simulated", tasks=("mmlu-explain",), items=142, options={"time": "virtual"}
    )
    with tempfile.TemporaryDirectory() as folder, taskpace.run(asked, Path(folder) / "words.db") as run:
        for (prompts,) in run.store.query("SELECT prompts FROM item")[1]:
            found += re.split(r"(?<=\s)", msgspec.json.decode(prompts)[0])
    return found


def large_run(folder: Path, count: int) -> Path:
    """A run of the simulated engine, virtual time, whose texts are words drawn at random.

    They compress less well than a model's.
    """
    drawn, vocabulary = random.Random(1), words()  # noqa: S311 - texts, not secrets

    def text(size: int) -> str:
        parts: list[str] = []
        while size > 0:
            parts.append(drawn.choice(vocabulary))
            size -= len(parts[-1].encode())
        return "".join(parts)

    prompts = folder / "prompts.jsonl"
    prompts.write_bytes(b"\n".join(msgspec.json.encode({"prompt": f"{n}: {text(300)}"}) for n in range(count)) + b"\n")
    length = {"kind": "lognormal", "median": 400.0, "sigma": 0.6}
    experiment = quick_experiment(
        models=tuple(f"system-{n}" for n in range(SYSTEMS)),
        engine="simulated",
        prompts=str(prompts),
        items=count,
        max_tokens=100_000,
        options={
            "time": "virtual",
            "length": length,
            "token_time": {"kind": "lognormal", "median": 0.01, "sigma": 0.3},
        },
    )
    path = folder / "large.db"
    taskpace.run(experiment, path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER turn_is_final")
        for trial, size in db.execute("SELECT trial_id, length(CAST(text AS BLOB)) FROM turn").fetchall():
            said = text(size).encode()[:size].decode("utf-8", "ignore")
            db.execute("UPDATE turn SET text = ? WHERE trial_id = ?", (said.ljust(size, "."), trial))
        db.commit()
    return path


def shown_after(browser: Browser, page_file: Path) -> float:
    """Seconds from the start of navigation to the first frame with a chart in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(page_file.as_uri(), wait_until="commit")
    page.wait_for_function("() => window.shownAt !== undefined", timeout=60_000)
    seconds: float = page.evaluate("() => window.shownAt") / 1000
    context.close()
    return seconds


def empty_pages(folder: Path, report: Path, *, quick: bool) -> dict[str, Path]:
    text = report.read_text("utf-8")
    style = re.search(r"<style>.*?</style>", text, re.DOTALL)
    script = re.search(r"<script>\n.*?</script>", text, re.DOTALL)
    assert style
    assert script
    # Bundling takes longer than all the rest of a quick form.
    vega = "" if quick else vl_convert.javascript_bundle().replace("</script", "<\\/script")
    # The script needs the page's own parts: what it looks for at once is there.
    ours = f'{style[0]}<button id="theme"></button><div id="tip"></div>{script[0]}'
    pages = {"same style and script": ours, "Vega, Vega-Lite, Vega-Embed": f"<script>{vega}</script>"}
    made = {}
    for number, (name, inside) in enumerate(pages.items()):
        made[name] = folder / f"empty{number}.html"
        made[name].write_text(f'<!doctype html><meta charset="utf-8">{inside}<p id="end">empty</p>', "utf-8")
    return made


def main() -> None:
    bench = Bench("report", __doc__, {"rounds": (15, 1), "prompts": (5000, 5)})
    rounds, trials = bench.chosen.rounds, SYSTEMS * bench.chosen.prompts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = large_run(folder, bench.chosen.prompts)
        begun = time.perf_counter()
        with taskpace.open(path) as run:
            report = run.report(folder / "large.html")
            took_s = time.perf_counter() - begun
            written = run.frame()["output_bytes"].sum()
        pages = {"report": report} | empty_pages(folder, report, quick=bench.quick)
        times: dict[str, list[float]] = {page: [] for page in pages}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
            if not bench.quick:
                for page in pages.values():  # what is shown for the first time is not measured
                    shown_after(browser, page)
            for _ in range(rounds):
                for page, file in pages.items():
                    times[page].append(shown_after(browser, file))
            engine = browser.version
            browser.close()
        size = bench.figure("size", report.stat().st_size / 1e6, "MB", at_most=15)
    made = bench.figure("made in", took_s, "s")
    bench.head(f"{trials:,} trials, {written / 1e6:.1f} MB of answers, headless Chromium {engine}")
    bench.say(f"  size              {size:.1f} MB  {size.target}")
    bench.say(f"  made in           {made:.1f} s")
    bench.say(f"  first chart, seconds after the start of navigation; {rounds} alternating rounds, median (spread)")
    for page, seconds in times.items():
        bench.say(f"    {page:<28} {bench.figure(f'first chart: {page}', seconds, 's'):.3f}")
    for page in list(pages)[1:]:
        beyond_s = [ours - 2 * theirs for ours, theirs in zip(times["report"], times[page], strict=True)]
        beyond = bench.figure(f"report - 2 x empty ({page})", beyond_s, "s", at_most=1)
        bench.say(f"    {beyond.name}: {beyond:.3f} s  {beyond.target}")
    bench.finish()


if __name__ == "__main__":
    main()
