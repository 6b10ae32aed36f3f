"""The HTML report of 20,000 trials: its size, and how soon a browser shows the first chart, against empty pages. And
that of 100,000 on a phone.

Run: python bench/report.py [--rounds N] [--prompts N] [--many N]; needs the browser that `make bench` or `make test`
installs. Targets: at most 15 MB, and 25 MB for 100,000 trials; the first chart within 2 times what an empty page with
the same style and script takes, plus 1 s. Beside them an empty page with Vega, Vega-Lite and Vega-Embed in it, which a
report drawn in the browser would have to start. The phone is a page 390 pixels wide in a browser that is slowed down by
a factor of 4 (as Lighthouse does): the table is there within 5 s, a filter, a new order and an opened trial within 1 s.
"""

from __future__ import annotations

import random
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

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


PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
SLOWER = 4
COUNT = "document.querySelector('.count').textContent"
NOWHERE = "zzzz"
"""No text has it."""


class Phone(NamedTuple):
    """How a page behaved."""

    seconds: dict[str, float]
    """By what the reader did, until the page showed it."""
    nodes: float
    heap_mb: float
    """Once all texts had been searched."""
    wide: float
    """Of the page, in pixels."""


def on_a_phone(browser: Browser, page_file: Path) -> Phone:
    """Load a report, filter, sort, open and search its trials."""
    context = browser.new_context(**PHONE)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    seconds: dict[str, float] = {}

    def timed(what: str, act: Callable[[], object], shown: str) -> None:
        begun = time.perf_counter()
        act()
        page.wait_for_function(f"() => {shown}", timeout=180_000)
        seconds[what] = time.perf_counter() - begun

    def metric(name: str) -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in found if each["name"] == name))

    form = page.locator("form")
    timed("the table is there", lambda: page.goto(page_file.as_uri(), wait_until="commit"),
          "document.querySelector('.listing tbody tr')")  # fmt: skip
    timed("filtered by system", lambda: form.locator("[name=system]").select_option(index=2),
          f"{COUNT}.includes('in all')")  # fmt: skip
    timed("sorted by time", lambda: page.locator("th[data-column=time] button").click(),
          "document.querySelector('th[data-column=time]').ariaSort === 'ascending'")  # fmt: skip
    timed("a trial opened", page.locator(".listing tbody th button").first.click,
          "document.querySelector('tr.opened')")  # fmt: skip
    timed("all texts unpacked and searched", lambda: form.locator("[name=text]").fill(NOWHERE),
          f"{COUNT}.startsWith('Trials 0')")  # fmt: skip
    session.send("HeapProfiler.collectGarbage")
    heap_mb = metric("JSHeapUsedSize") / 1e6
    timed("searched again", lambda: form.locator("[name=text]").fill("e"), f"!{COUNT}.startsWith('Trials 0')")
    found = Phone(seconds, metric("Nodes"), heap_mb, page.evaluate("document.documentElement.scrollWidth"))
    context.close()
    return found


def phone_lines(bench: Bench, trials: int, report: Path, phone: Phone) -> None:
    size = bench.figure("100,000 trials: size", report.stat().st_size / 1e6, "MB", at_most=25)
    nodes = bench.figure("100,000 trials: nodes", phone.nodes, at_most=20_000)
    wide = bench.figure("100,000 trials: width", phone.wide, "px", at_most=PHONE["viewport"]["width"])
    heap = bench.figure("100,000 trials: memory", phone.heap_mb, "MB", at_most=200)
    with_texts = re.search(r"answers of ([\d,]+) of the ([\d,]+) items", report.read_text("utf-8"))
    carried = f"{with_texts[1]} of {with_texts[2]} items" if with_texts else "all items"
    bench.say(f"  {trials:,} trials on a phone: {PHONE['viewport']['width']} pixels, {SLOWER} times slower")
    bench.say(f"    size              {size:.1f} MB  {size.target}, with the texts of {carried}")
    bench.say(f"    nodes             {nodes:.0f}  {nodes.target}")
    bench.say(f"    width             {wide:.0f} pixels  {wide.target}")
    bench.say(f"    script's memory   {heap:.0f} MB once all texts were searched  {heap.target}")
    limits = {"the table is there": 5.0, "filtered by system": 1.0, "sorted by time": 1.0, "a trial opened": 1.0,
              "searched again": 1.0}  # fmt: skip
    for what, taken_s in phone.seconds.items():
        taken = bench.figure(f"100,000 trials: {what}", taken_s, "s", at_most=limits.get(what))
        bench.say(f"    {what:<32}{taken:>6.2f} s  {taken.target}".rstrip())


def main() -> None:
    bench = Bench("report", __doc__, {"rounds": (15, 1), "prompts": (5000, 5), "many": (25_000, 5)})
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
            many = folder / "many"
            many.mkdir()
            with taskpace.open(large_run(many, bench.chosen.many)) as run:
                many_report = run.report(many / "many.html")
            phone = on_a_phone(browser, many_report)
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
        phone_lines(bench, SYSTEMS * bench.chosen.many, many_report, phone)
    bench.finish()


if __name__ == "__main__":
    main()
