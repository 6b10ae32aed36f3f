"""Charts as objects, SVG and PNG: valid, the summary's own numbers, distinguishable by every eye."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
from tests.page.conftest import SYSTEMS, UNASKED, experiment_file

import taskpace
from taskpace.errors import TaskpaceError
from taskpace.report.charts import CHARTS, joined, panels, styled, to_svg
from taskpace.report.charts.panel import label
from taskpace.report.charts.ranking import pareto_front
from taskpace.report.charts.theme import (
    ALERT,
    DARK,
    DARK_PAPER,
    DASHES,
    INK,
    MUTED,
    PAPER,
    SERIES,
    SHAPES,
    by_place,
    configured,
)
from taskpace.report.words.figures import (
    digits,
    seconds,
    seconds_of,
    seconds_with_error,
    share_with_error,
    shared_ranks,
)

pytestmark = pytest.mark.usefixtures("workers_here")

ROOT = Path(__file__).parents[2]
PAGES = {"light": (PAPER, {colour: colour for colour in DARK}), "dark": (DARK_PAPER, DARK)}


def components(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = components(colour)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("sight", [None, "protanomaly", "deuteranomaly", "tritanomaly"])
@pytest.mark.parametrize("page", PAGES)
def test_every_eye_tells_the_colours_apart(page, sight):
    """Any two of the eight stay 15 units of CAM02-UCS apart (about 15 just noticeable steps), however the eye sees."""
    from colorspacious import cspace_convert

    _, shown = PAGES[page]
    seen = []
    for colour in SERIES:
        light = components(shown[colour])
        if sight is not None:
            light = cspace_convert(light, {"name": "sRGB1+CVD", "cvd_type": sight, "severity": 100}, "sRGB1")
        seen.append(cspace_convert(np.clip(light, 0, 1), "sRGB1", "CAM02-UCS"))
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) >= 15


@pytest.mark.parametrize("page", PAGES)
def test_marks_and_words_stand_out(page):
    """WCAG 2.2: arrivals have a contrast of 3 to the page, words of 4.5."""
    paper, shown = PAGES[page]
    assert min(contrast(shown[colour], paper) for colour in SERIES) >= 3
    assert min(contrast(shown[colour], paper) for colour in (INK, MUTED, ALERT)) >= 4.5


def test_nothing_is_told_by_colour_alone():
    """Each colour has a shape and a dash of its own beside it."""
    assert len(set(SHAPES)) == len(SHAPES) == len(SERIES)
    assert len({tuple(dash) for dash in DASHES}) == len(DASHES) == len(SERIES)


def make_of(specification: Any) -> Any:
    """A specification with types in place of what the data decide: rows of data, names, texts, lengths."""
    match specification:
        case dict():
            return {
                key: sorted({type_of(each) for each in (value if isinstance(value, list) else [value])})
                if key in ("values", "domain", "range", "sort", "title", "height", "columns")
                else make_of(value)
                for key, value in specification.items()
            }
        case list():
            return [make_of(each) for each in specification]
        case _:
            return specification


def type_of(value: Any) -> str:
    """Its type, and the types in it."""
    if isinstance(value, dict):
        return repr({key: type_of(each) for key, each in value.items()})
    return repr(sorted(map(type_of, value))) if isinstance(value, list) else type(value).__name__


def test_every_chart_is_valid_vega_lite(drawn):
    """What is drawn without altair's own checks passes them as a whole."""
    assert {panel.chart for panel in drawn} == set(CHARTS) - UNASKED
    # A check takes a tenth of a second: once for all charts that differ in names and numbers alone.
    makes = {repr(make_of(configured(panel.picture))): panel for panel in drawn}
    for panel in makes.values():
        styled(panel.picture).to_dict(validate=True)


def test_every_chart_has_a_caption_and_the_numbers(drawn):
    """No picture without words, no table without a row for everything in it."""
    for panel in drawn:
        assert panel.title
        assert panel.caption.endswith(".")
        assert panel.rows
        assert {len(row) for row in panel.rows} == {len(panel.headings)}


def only(found, chart):
    """The first task's panel of a chart."""
    return next(panel for panel in found if panel.chart == chart)


def test_tables_hold_the_summarys_numbers(summary, drawn):
    """Beside each kind of chart stand the very numbers that the summary has."""
    table, found = summary.tables[0], drawn
    rows = table.rows
    assert [row[1] for row in only(found, "speed").rows] == [digits(row.tokens_per_s_median.value, 3) for row in rows]
    ranked = [row for row in rows if row.rank_task_time and row.rank_tokens_per_s]
    assert only(found, "ranks").rows == tuple(
        zip(
            (row.system for row in ranked),
            shared_ranks([row.rank_tokens_per_s for row in ranked]),
            shared_ranks([row.rank_task_time for row in ranked]),
            strict=True,
        )
    )
    solve = only(found, "solve").rows
    assert [row[0] for row in solve] == [seconds(point.deadline_s) for point in rows[0].solve_curve]
    assert [row[1] for row in solve] == [share_with_error(point.share) for point in rows[0].solve_curve]
    assert [row[5] for row in only(found, "phases").rows] == [seconds_of(row.task_time_mean_s) for row in rows]
    assert [row[3] for row in only(found, "verbosity").rows] == [digits(row.written_bytes.p50, 3) for row in rows]
    assert [row[2] for row in only(found, "tokenizers").rows] == [
        digits(row.bytes_per_output_token.value, 3) for row in rows
    ]
    load = only(found, "load").rows
    assert load[0][2] == seconds_with_error(rows[0].task_time_median_s)
    assert load[0][3] == digits(rows[0].tasks_per_hour, 3)
    splits = {(pair.a, pair.b): pair.split for pair in table.pairs}
    whys = [panel for panel in found if panel.chart == "why"][: len(splits)]
    assert {panel.pair for panel in whys} == set(splits)
    for panel in whys:
        assert panel.rows[-1][1] == f"{splits[panel.pair].difference_s.value:+.3g}"


def test_the_front_is_that_of_brute_force(summary):
    """On the Pareto front is who has right answers and is beaten by none in both time and accuracy."""
    for table in summary.tables:
        rows = [row for row in table.rows if row.valid]

        def beaten(row, rows=rows) -> bool:
            time, share = row.task_time_median_s.value, row.accuracy.value
            return any(
                other.task_time_median_s.value <= time
                and other.accuracy.value >= share
                and (other.task_time_median_s.value, other.accuracy.value) != (time, share)
                for other in rows
            )

        front = {row.system for row in pareto_front(rows)}
        assert front == {row.system for row in rows if row.accuracy.value and not beaten(row)}


def test_a_sweeps_line_has_the_name_that_its_systems_share(drawn):
    """Two temperatures of one system are one line, called by what their names have in common."""
    panel = only(drawn, "effects")
    assert ">fast and wordy<" in to_svg(panel.picture)
    assert [row[0] for row in panel.rows] == [
        "fast and wordy temperature=0",
        "fast and wordy temperature=0.7",
    ]


def test_long_names_that_differ_at_the_end_stay_two():
    """A chart distinguishes systems by what is left of their names; the end, where a sweep's value stands, is left."""
    one, other = (label("x" * 70 + end) for end in (" alpha", " beta"))
    assert one != other
    assert max(len(one), len(other)) <= 60


def test_the_ninth_system_has_a_shape_and_a_dash_of_its_own():
    """When the colours begin again, shape and dash do not repeat with them."""
    names = [f"s{number}" for number in range(24)]
    looks = [
        by_place(names, names, channel, choices).to_dict()["scale"]["range"]
        for channel, choices in (("color", SERIES), ("shape", SHAPES), ("strokeDash", DASHES))
    ]
    assert len({str(look) for look in zip(looks[0], looks[1], strict=True)}) == 24
    assert len({str(look) for look in zip(looks[0], looks[2], strict=True)}) == 24


def test_a_chart_with_nothing_to_show_is_absent(tmp_path):
    """One system, one scenario, no right answers: neither rankings, nor pairs, nor load, nor sweep."""
    file = experiment_file(tmp_path, SYSTEMS[1:2], items=10)
    file.write_text(file.read_text("utf-8").replace('    "concurrency=4",\n', ""), "utf-8")
    with taskpace.run(file, tmp_path / "one.db") as run:
        there = {panel.chart for panel in panels(run.summary())}
        assert there == {"speed", "finding", "solve", "phases", "verbosity", "accuracy", "tokenizers"}
        with pytest.raises(TaskpaceError, match="nothing to show"):
            run.chart("load")


def test_the_finding_names_who_is_fastest_and_who_is_first_to_be_right(drawn, summary):
    """Bars in the order of the speeds, with the summary's numbers; the names above them are those of rank 1."""
    table, panel = summary.tables[0], only(drawn, "finding")
    rows = sorted(table.rows, key=lambda row: -row.tokens_per_s_median.value)
    assert [row[0] for row in panel.rows] == [row.system for row in rows if row.time_per_correct_s.bound is None]
    shown = to_svg(panel.picture)
    for words, rank in (("Fastest", "rank_tokens_per_s"), ("First to be right", "rank_time_per_correct")):
        first = [row.system for row in rows if getattr(row, rank) == 1]
        assert f">{words}: {' and '.join(first) if len(first) < 3 else 'undecided'}<" in shown


def test_a_dark_picture_has_the_dark_colours(drawn):
    """Every colour of the house that is in the light one is there as its dark counterpart, and no other."""
    picture = only(drawn, "finding").picture
    light, dark = to_svg(picture), to_svg(picture, dark=True)
    assert DARK_PAPER in dark
    assert not [colour for colour in (PAPER, *DARK) if f'"{colour}"' in dark]
    assert [colour for colour in DARK if colour in light]
    assert all(DARK[colour] in dark for colour in DARK if colour in light)


@pytest.mark.parametrize("look", ["light", "dark"])
def test_the_picture_of_the_readme_is_what_the_command_draws(look):
    """Of the real run in examples/, by the command that docs/report.md has."""
    with taskpace.open(ROOT / "examples" / "demo.db") as run:
        (panel,) = (each for each in panels(run.summary(), "finding") if each.task == "qa-context")
    drawn_now = to_svg(joined([panel]), dark=look == "dark")
    shown = (ROOT / "docs" / "images" / f"finding-{look}.svg").read_text("utf-8")
    assert _to_six_digits(shown) == _to_six_digits(drawn_now)


def _to_six_digits(svg: str) -> str:
    """Sums have other last digits with another processor's kernels, which no picture shows."""
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.6g}", svg)


def test_a_chart_is_an_altair_object(planted):
    """In Python a chart is altair's, of one task or of all, and an unknown name is told with the nearest."""
    chart = planted.chart("speed", task="mmlu-letter", scenario="single")
    assert isinstance(chart, alt.TopLevelMixin)
    assert "Tokens per second against task time" in chart.to_json()
    assert len(planted.chart("speed").to_dict()["concat"]) == 4
    with pytest.raises(TaskpaceError, match=r'unknown chart "sped" \(did you mean "speed"\?\)'):
        planted.chart("sped")


def test_a_notebook_shows_the_answer_and_the_picture(planted):
    """``_repr_html_`` has each task's answer, its picture and its table, and no script."""
    html = planted._repr_html_()
    assert html.count("<svg") == 4
    assert html.count("<table") == 5  # that of the whole run comes first
    assert "only looks fast" in html
    assert "yet slow but brief is among the first to finish" in html
    assert "<script" not in html


def test_svg_and_png_are_files_of_their_kind(cli, planted, tmp_path):
    """``taskpace chart`` writes what the name's ending says: SVG that is XML with the title in it, or PNG."""
    (tmp_path / "x.db").write_bytes(planted.path.read_bytes())
    done = cli("chart", "x.db", "speed", "-o", "speed.svg", "--resamples", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "The chart is speed.svg\n", "")
    svg = ET.fromstring((tmp_path / "speed.svg").read_text("utf-8"))  # noqa: S314 - our own
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Tokens per second against task time" in "".join(svg.itertext())
    assert cli("chart", "x.db", "solve", "--task", "mmlu-letter", "-o", "s.png", "--resamples", "0").returncode == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_without_a_name_the_charts_are_listed(cli, planted, tmp_path):
    """Every chart with what it shows, as wide as the terminal; what this run has nothing for says so."""
    (tmp_path / "x.db").write_bytes(planted.path.read_bytes())
    assert max(map(len, cli("chart", "x.db", "--resamples", "0", columns=80).stdout.splitlines())) <= 80
    lines = cli("chart", "x.db", "--resamples", "0", columns=200).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(CHARTS)
    assert {line.split()[0] for line in lines if "nothing to show" in line} == UNASKED


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("sped",), 'unknown chart "sped" (did you mean "speed"?): speed, ranks, '),
        (("speed", "-o", "x.pdf"), "-o x.pdf: a chart is written as .svg or .png: end the name in one of these"),
        (
            ("speed", "--task", "mmlu"),
            '--task "mmlu": unknown to this chart; it has mmlu-letter, mmlu-explain',
        ),
        (("why", "--pair", "a", "b"), '--pair "a b": unknown to this chart; it has '),
        (("speed", "-o", "no/x.svg"), "no/x.svg: folder no not found"),
    ],
)
def test_bad_input_is_one_line(cli, planted, tmp_path, arguments, problem):
    """A wrong name, ending, task or pair: one line with the names there are, exit code 2, nothing written."""
    (tmp_path / "x.db").write_bytes(planted.path.read_bytes())
    done = cli("chart", "x.db", *arguments, *(() if "-o" in arguments else ("-o", "x.svg")), "--resamples", "0")
    assert done.returncode == 2
    assert done.stderr.startswith(f"taskpace: {problem}")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


def test_hostile_names_are_text_in_a_picture(summary):
    """A system's name with markup in it is escaped in SVG."""
    assert label("<script>alert(1)</script>") == "<script>alert(1)</script>"
    table = summary.tables[0]
    picture = joined(panels(summary, "ranks")[:1])
    text = styled(picture).to_json().replace(table.rows[2].system, "<script>alert(1)</script>")
    svg = to_svg(alt.Chart.from_json(text))
    assert "<script" not in svg
    assert "&lt;script" in svg
