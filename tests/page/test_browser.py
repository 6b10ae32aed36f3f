"""The report in a real browser: seen, clicked through, listened to."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest

from taskpace.analysis.data.frame import last_attempts
from taskpace.report.charts.panel import marked
from taskpace.report.words.figures import share_with_error


def listed(page) -> list[str]:
    """The first ten characters of each trial in the table."""
    return page.locator(".listing tbody th button").all_inner_texts()


def settled(page, count: int) -> None:
    """Wait until the table shows that so many trials are left."""
    page.wait_for_function(
        "wanted => document.querySelector('.count').textContent.match(/([\\d,]+)(, from.*)?$/)?.[1] === wanted",
        arg=f"{count:,}",
    )


@pytest.fixture
def trials(planted) -> pl.DataFrame:
    """The last attempts, as the summary counts them."""
    return last_attempts(planted.frame())


def test_the_page_stands_alone_and_fits(desk):
    """At desk and on a phone, light and dark: no request, no word on the console, nothing wider than the screen."""
    for scheme, colour in (("dark", "rgb(18, 22, 28)"), ("light", "rgb(255, 255, 255)")):
        desk.emulate_media(color_scheme=scheme)
        assert desk.evaluate("getComputedStyle(document.body).backgroundColor") == colour
        for width in (390, 1280):
            desk.set_viewport_size({"width": width, "height": 900})
            assert desk.evaluate("document.documentElement.scrollWidth") == width


def test_a_phone_shows_verdict_and_picture_above_the_fold(opened, report):
    """On the first screen of a phone, 390 by 844 points: who finishes first, and the whole picture of it."""
    with opened(report, width=390) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        verdict = page.locator(".lead .verdict").first
        assert " only looks fast: " in verdict.inner_text()
        box, picture = verdict.bounding_box(), page.locator(".lead .picture svg").bounding_box()
        assert 0 < box["y"] < picture["y"]
        assert picture["y"] + picture["height"] <= 844


FIGURE = """figure => ({
  chart: figure.dataset.chart,
  shown: figure.checkVisibility(),
  ofPair: figure.closest(".pair") !== null,
  marks: figure.querySelectorAll("svg .role-mark path, svg .role-mark line, svg .role-mark text").length,
  pictures: figure.querySelectorAll("svg").length,
  height: figure.querySelector("svg").getBoundingClientRect().height,
})"""


def test_every_chart_is_drawn(desk, drawn):
    """Each panel of the run is a picture with marks in it, and the eleven charts are all there."""
    wanted = [panel.chart for panel in drawn]
    assert len(set(wanted)) == 11
    figures = desk.locator("figure.chart").evaluate_all(f"all => all.map({FIGURE})")
    found = [figure["chart"] for figure in figures]
    assert {chart: found.count(chart) for chart in wanted} == {chart: wanted.count(chart) for chart in wanted}
    for figure in figures:
        assert figure["shown"] or figure["ofPair"]
        assert figure["marks"] > 0
        assert figure["pictures"] == 1
        assert not figure["shown"] or figure["height"] > 30


def test_colours_follow_the_theme(desk):
    """The button turns the page dark and back, and the pictures' own colours with it."""
    ink = "getComputedStyle(document.querySelector('.picture svg text')).fill"
    mark = "getComputedStyle(document.querySelector('.picture svg .role-mark path[stroke]')).stroke"
    light = desk.evaluate(ink), desk.evaluate(mark)
    desk.locator("#theme").click()
    dark = desk.evaluate(ink), desk.evaluate(mark)
    assert desk.locator("#theme").get_attribute("aria-pressed") == "true"
    desk.locator("#theme").click()
    assert (desk.evaluate(ink), desk.evaluate(mark)) == light
    desk.evaluate("delete document.documentElement.dataset.theme")
    assert light[0] == "rgb(31, 35, 40)"
    assert dark[0] == "rgb(230, 233, 238)"
    assert light[1] != dark[1]


def test_no_trial_is_left_out(desk, trials):
    """A hundred rows at a time, and page after page every recorded trial comes once."""
    seen = listed(desk)
    assert len(seen) == 100
    while desk.locator('.pager [data-step="1"]').is_enabled():
        desk.locator('.pager [data-step="1"]').click()
        seen += listed(desk)
    assert sorted(seen) == sorted(trials["trial_id"].str.slice(0, 10))
    desk.locator('.pager [data-step="-1"]').click()
    assert len(listed(desk)) == 100


def test_filters_narrow_the_table_down(desk, trials):
    """Task, scenario, system, outcome, time and length each leave what the frame says, and so do all at once."""
    size = pl.col("output_bytes") + pl.col("reasoning_bytes")
    column = {name: pl.col(name) for name in ("task", "scenario", "system", "outcome")}
    steps = [
        ("task", "mmlu-explain", column["task"] == "mmlu-explain"),
        ("scenario", "concurrency=4", column["scenario"] == "concurrency=4"),
        ("system", "thinks first", column["system"] == "thinks first"),
        ("outcome", "correct", column["outcome"] == "correct"),
        ("time-from", "0.55", pl.col("task_time_s").round(6) >= 0.55),
        ("bytes-to", "175", size <= 175),
    ]

    def fill(name: str, value: str) -> None:
        field = desk.locator(f'form [name="{name}"]')
        field.fill(value) if "-" in name else field.select_option(label=value)

    def holds(wanted: pl.DataFrame) -> None:
        assert 0 < wanted.height < trials.height
        settled(desk, wanted.height)
        shown = listed(desk)
        assert set(shown) <= set(wanted["trial_id"].str.slice(0, 10))
        assert len(shown) == min(100, wanted.height)

    for name, value, condition in steps:
        fill(name, value)
        holds(trials.filter(condition))
        desk.locator("form button[type=reset]").click()
        settled(desk, trials.height)
    left = trials
    for name, value, condition in steps:
        fill(name, value)
        left = left.filter(condition)
        holds(left)


def test_text_is_found_wherever_it_stands(desk, planted, trials):
    """A word of a prompt finds its trials, in any case; a trial's id finds it alone; nonsense finds nothing."""
    items = planted.store.query("SELECT id, prompts FROM item WHERE task = 'mmlu-letter' ORDER BY position")[1]
    word = re.search(r"Question: (.{20})", json.loads(items[0][1])[0])[1]
    wanted = trials.filter(
        pl.struct("task", "item_id").map_elements(
            lambda key: word.lower() in json.loads(_prompts(planted, key))[0].lower(), return_dtype=pl.Boolean
        )
    )
    desk.locator("form [name=text]").fill(word.upper())
    settled(desk, wanted.height)
    desk.locator("form [name=text]").fill(trials["trial_id"][7])
    settled(desk, 1)
    assert listed(desk) == [trials["trial_id"][7][:10]]
    desk.locator("form [name=text]").fill("no such words anywhere")
    settled(desk, 0)


def _prompts(planted, key) -> str:
    return planted.store.query("SELECT prompts FROM item WHERE task = ? AND id = ?", key["task"], key["item_id"])[1][0][
        0
    ]


def test_columns_sort_both_ways_and_unknown_comes_last(desk, trials):
    """A click sorts by time upwards, another downwards; trials that never had a first token come last both times."""
    desk.locator('form [name="system"]').select_option(label="often fails")
    settled(desk, trials.filter(pl.col("system") == "often fails").height)
    for direction in ("ascending", "descending"):
        desk.locator('.listing th[data-column="time"] button').click()
        assert desk.locator('.listing th[data-column="time"]').get_attribute("aria-sort") == direction
        texts = desk.locator(".listing tbody tr td:nth-child(6)").all_inner_texts()
        times = [float(text.removesuffix(" s")) for text in texts if text != "–"]
        assert len(times) > 50
        assert times == sorted(times, reverse=direction == "descending")
        assert "–" not in texts[: len(times)]


def test_a_trial_opens_to_all_that_is_known(desk, planted, trials):
    """Prompt, reasoning, answer with the committed point, timeline: as the store has them; a second click closes it."""
    chosen = trials.filter((pl.col("system") == "thinks first") & pl.col("committed_s").is_not_null())["trial_id"][0]
    ((record, _),) = planted.trial(chosen)
    desk.locator("form [name=text]").fill(chosen)
    settled(desk, 1)
    desk.locator(".listing tbody th button").click()
    opened_row = desk.locator("tr.opened")
    blocks = opened_row.locator("pre")
    assert blocks.nth(0).inner_text().startswith("Answer the following")
    assert blocks.nth(1).text_content() == record.turns[0].reasoning
    assert blocks.nth(2).text_content().replace("┃", "", 1) == record.turns[0].text
    before, after = blocks.nth(2).text_content().split("┃")
    assert before
    assert opened_row.locator(".after").text_content() == after
    assert opened_row.locator(".timeline rect").count() == 60
    assert chosen in opened_row.inner_text()
    desk.locator(".listing tbody th button").click()
    assert opened_row.count() == 0


def test_the_deadline_slider_tells_the_solve_curve(desk, summary):
    """Where the slider stands, each system's share is the summary's, and one line stands in the picture."""
    table = summary.tables[0]
    rows = [row for row in table.rows if row.solve_curve]
    figure = desk.locator("section.task").first.locator('figure[data-chart="solve"]')
    for place in (0, 11, 23):
        figure.locator("input").fill(str(place))
        told = figure.locator("output").inner_text()
        for row in rows:
            assert f"{marked(row)}: {share_with_error(row.solve_curve[place].share)}" in told
        lines = figure.locator('[class*="deadlines"] line')
        assert [number for number in range(lines.count()) if lines.nth(number).get_attribute("opacity") == "1"] == [
            place
        ]


def test_the_reader_chooses_the_pair(desk, summary):
    """Every pair can be chosen; each choice shows that pair's waterfall and no other."""
    table = summary.tables[0]
    pairs = [pair for pair in table.pairs if pair.split]
    assert len(pairs) == len(table.rows) * (len(table.rows) - 1) / 2
    section = desk.locator("section.task").first
    select = section.locator(".pairs select")
    assert select.locator("option").all_inner_texts() == [f"{pair.a} → {pair.b}" for pair in pairs]
    for pair in (pairs[-1], pairs[3], pairs[0]):
        select.select_option(label=f"{pair.a} → {pair.b}")
        shown = [one.inner_text() for one in section.locator(".pair figure h4").all() if one.is_visible()]
        assert len(shown) == 1
        assert pair.a in shown[0]
        assert pair.b in shown[0]


def test_a_mark_tells_its_numbers(desk):
    """Under the pointer a point says which system it is and what its numbers are."""
    point = desk.locator('figure[data-chart="speed"] svg path[aria-label^="slow but brief"]').first
    point.hover()
    assert desk.locator("#tip").is_visible()
    assert desk.locator("#tip").inner_text() == point.get_attribute("aria-label")


def test_axe_finds_no_serious_violation(opened, sparse_report, violations, drawn):
    """axe-core, all its rules, light and dark, with every kind of chart, a trial opened and all details unfolded."""
    with opened(sparse_report, color_scheme="light") as page:
        charts = page.locator("figure.chart").evaluate_all("all => all.map(one => one.dataset.chart)")
        assert set(charts) == {panel.chart for panel in drawn}
        page.locator(".listing tbody th button").first.click()
        page.wait_for_selector("tr.opened")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], scheme


def test_axe_finds_no_serious_violation_where_several_tasks_are_seen_together(desk, violations):
    """All its rules, light and dark, in what a run of one task has not: what all tasks say, and the way to each."""
    for scheme in ("dark", "light"):
        desk.emulate_media(color_scheme=scheme)
        assert violations(desk, ".together, nav") == [], scheme


def test_it_is_worth_reading_without_scripts(opened, sparse, sparse_report):
    """Where scripts are blocked, as in a mail's preview: answers, pictures and numbers are there, controls are not."""
    with opened(sparse_report, java_script_enabled=False) as page:
        assert page.locator(".answer .verdict").count() == len(sparse.summary(resamples=0).tables) > 1
        assert page.locator('figure[data-chart="speed"] svg').first.is_visible()
        assert page.locator("table.systems").first.is_visible()
        assert not page.locator("form").is_visible()
        assert "taskpace show" in page.locator(".trials").inner_text()


def test_paper_is_white_and_has_no_controls(opened, sparse_report):
    """Printed from a dark screen, the page is light, without the table of trials, with every pair."""
    with opened(sparse_report, color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("form").first.is_visible()
        assert not page.locator(".listing").is_visible()
        assert all(one.is_visible() for one in page.locator("section.task").first.locator(".pair").all())


def test_several_runs_are_chapters_of_one_page(opened, report_of_several):
    """Two runs: each with its own charts and trials that open, and a comparison between them."""
    with opened(report_of_several) as page:
        assert page.locator("article.run").count() == 2
        page.wait_for_function("() => document.querySelectorAll('.listing tbody tr').length > 110")
        page.locator("article.run").nth(1).locator(".listing tbody th button").first.click()
        page.wait_for_selector("article:nth-of-type(2) tr.opened")
        rows = page.locator("#comparisons tbody tr")
        assert rows.count() == 2  # one for each load
        assert "slow but brief" in rows.first.inner_text()
