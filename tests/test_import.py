"""Logs of Inspect, EvalScope and Every Eval Ever as run files, against the truth of the server that they were made of.

The logs in ``tests/imports`` were made by the tools themselves against ``tests/imports/staged_server.py``, which wrote
down what it did and when; docs/import.md says how.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import random
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st
from tests.commandline import Cli, run_here
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.summary import summarise
from taskpace.analysis.whatif.places import Given
from taskpace.analysis.whatif.stated import given_speed
from taskpace.analysis.whatif.whatif import what_if
from taskpace.errors import LogError, TaskpaceError
from taskpace.experiment.scenario import Scenario
from taskpace.importing import archive, values
from taskpace.importing.formats import FORMATS, read_logs
from taskpace.importing.grading import match_items
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.writing import write_logs
from taskpace.judge.answers import count_answers, load_answers
from taskpace.prices.price import Price
from taskpace.report.words.cost import cost_lines, costs_in_brief
from taskpace.store.store import Store

LOGS = Path(__file__).with_name("imports")
INSPECT, EVALSCOPE, PERF = LOGS / "inspect", LOGS / "evalscope", LOGS / "evalscope_perf"
(SAMPLES,) = (LOGS / "every_eval").glob("*_samples.jsonl")
NINE = {
    "inspect": (INSPECT / "nine.eval", INSPECT / "nine-truth.jsonl"),
    "evalscope": (EVALSCOPE / "nine", EVALSCOPE / "nine-truth.jsonl"),
    "evalscope-perf": (PERF / "nine" / "benchmark_data.db", PERF / "nine-truth.jsonl"),
    "eee": (SAMPLES, INSPECT / "nine-truth.jsonl"),
}
CONNECTING_S = 0.08
"""What a client adds to the server's own time at most, in these logs: the first request opens a connection."""


def questions() -> dict[str, str]:
    """The case of each question."""
    rows = map(json.loads, (LOGS / "staged.jsonl").read_text().splitlines())
    return {row["question"]: row["case"] for row in rows}


def by_case(samples: tuple[Sample, ...]) -> dict[str, Sample]:
    return {next(case for text, case in questions().items() if text in (each.prompt or "")): each for each in samples}


def truths(path: Path) -> dict[str, dict[str, Any]]:
    """What the server did at last for each case, in seconds since it read the request."""
    found = {}
    for row in map(json.loads, path.read_text().splitlines()):
        shown = [ns for name in ("texts_ns", "thoughts_ns") for ns in row.get(name, ())] or [row["ended_ns"]]
        ends = {"first_s": min(shown), "last_s": max(shown), "done_s": row["ended_ns"]}
        found[row["case"]] = row | {name: (ns - row["at_ns"]) / 1e9 for name, ns in ends.items()}
    return found


def the_log(path: Path) -> Log:
    (log,) = read_logs([path], None)
    return log


@pytest.mark.parametrize("tool", NINE)
def test_times_are_the_servers_or_bounds_of_them(tool: str) -> None:
    """No imported time contradicts what the server knows: it is exact, or an upper bound where the log says so."""
    path, truth_file = NINE[tool]
    truth = truths(truth_file)
    for case, sample in by_case(the_log(path).samples).items():
        if sample.error is not None or sample.seconds is None:
            continue
        assert sample.seconds >= truth[case]["last_s"]
        if tool == "evalscope":
            # To the end of the stream, retries included: a bound, and named as one.
            assert case == "refused-once" or sample.seconds <= truth[case]["done_s"] + CONNECTING_S
        else:
            assert sample.seconds <= truth[case]["last_s"] + CONNECTING_S + (0.03 if tool == "eee" else 0)
        if sample.moments and case != "refused-once":
            assert 0 <= sample.moments[0].seconds - truth[case]["first_s"] <= CONNECTING_S


@pytest.mark.parametrize("tool", NINE)
def test_counts_and_cuts_are_the_servers(tool: str) -> None:
    """Output tokens and what was cut are what the server counted; a sample that failed has no tokens."""
    path, truth_file = NINE[tool]
    truth = truths(truth_file)
    for case, sample in by_case(the_log(path).samples).items():
        if sample.error is not None:
            assert sample.output_tokens is None
            continue
        assert sample.output_tokens == truth[case]["output_tokens"]
        assert (sample.finish == "length") == (truth[case]["finish"] == "length")


EXPECTED = {
    "inspect": {"correct": 6, "wrong": 1, "truncated": 1, "error": 1},
    "evalscope": {"correct": 4, "wrong": 1, "truncated": 1},
    "evalscope-perf": {"completed": 4, "truncated": 1, "error": 4},
    "eee": {"correct": 6, "wrong": 1, "truncated": 1, "error": 1},
}


@pytest.mark.parametrize("tool", NINE)
def test_issued_is_recorded_or_missing(tool: str, tmp_path: Path) -> None:
    """All nine requests are recorded, failed ones included, or counted as missing."""
    write_logs([the_log(NINE[tool][0])], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        (table,) = run.summary(resamples=0).tables
    (row,) = table.rows
    assert row.outcomes == EXPECTED[tool]
    assert (row.planned, row.n) == (9, sum(EXPECTED[tool].values()))


def test_the_cost_of_a_log_that_lacks_samples_is_that_of_a_part(tmp_path: Path) -> None:
    """Three of EvalScope's nine requests are not in its log: the cost says so, in each place where it stands."""
    log = the_log(NINE["evalscope"][0])
    write_logs([log], tmp_path / "x.db")
    with Store.open(tmp_path / "x.db") as store:
        found = summarise(store, resamples=0, prices={log.model: Price(input=1.0, output=2.0)})
    (table,) = found.tables
    (row,) = table.rows
    assert row.cost is not None
    assert (row.cost.missing, row.cost.absent) == ({}, 3)
    said = "the cost is that of 6 of 9 trials: the log lacks 3, and what they cost is unknown."
    assert any(said in line for line in cost_lines(table))
    assert said in costs_in_brief(found)


def test_retries_and_graders_are_kept_out() -> None:
    """Inspect's time of a request that was asked again is the last attempt's, and the log's notes say so."""
    log = the_log(INSPECT / "nine.eval")
    sample = by_case(log.samples)["refused-once"]
    assert sample.seconds is not None
    assert sample.seconds < 0.5  # with its retry it took 1.18 s
    assert any("asked again" in note for note in log.notes)


@pytest.mark.parametrize(
    ("name", "says"), [("six-score.eval", 0.5), ("six-go.eval", 0.6), ("six-go.json", 0.6), ("six-stop.eval", None)]
)
def test_three_ways_of_counting_become_one(name: str, says: float | None, tmp_path: Path) -> None:
    """Six answers, one failed and one cut: 50, 60 and no per cent there, 50 % here whatever was set."""
    path = INSPECT / name
    if path.suffix == ".json":
        header = json.loads(path.read_text())
    else:
        with archive.Archive(archive.Source(path)) as opened:
            header = json.loads(opened.read("header.json"))
    results = header.get("results") or {}
    shares = [score["metrics"]["accuracy"]["value"] for score in results.get("scores", [])]
    assert shares == ([] if says is None else [says])
    write_logs([the_log(path)], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        (row,) = run.summary(resamples=0).tables[0].rows
    assert row.outcomes == {"correct": 3, "wrong": 1, "truncated": 1, "error": 1}
    assert row.accuracy.value == 0.5


def test_what_is_not_recorded_is_unknown(tmp_path: Path) -> None:
    """Of the perf database no text, bytes, committed point or accuracy is known; of others no first token."""
    write_logs([the_log(NINE["evalscope-perf"][0]), the_log(NINE["inspect"][0])], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        summary, frame = run.summary(resamples=0), run.frame()
    rows = {row.system: row for table in summary.tables for row in table.rows}
    perf, inspect = rows["known"], rows["openai-api/known/known"]
    for name in ("output_bytes_median", "bytes_per_s_median", "committed_median_s", "accuracy", "time_per_correct_s"):
        assert getattr(perf, name).value is None
    assert perf.written_bytes is None
    assert 24 < (perf.tokens_per_s_median.value or 0) < 50
    for name in ("ttft_median_s", "tokens_per_s_median", "committed_median_s", "par2_s"):
        assert getattr(inspect, name).value is None
    assert inspect.phases is None
    assert inspect.time_per_correct_s.bound == ">="  # the failed sample's time is not recorded
    assert frame.filter(frame["system"] == "known")["output_bytes"].null_count() == 9
    assert frame["send_delay_s"].null_count() == frame.height


def test_a_log_without_times_has_no_times(tmp_path: Path) -> None:
    """Samples without times: every number of time is null, and no system is ranked by it."""
    samples = tuple(Sample(item=str(n), prompt="?", text="yes", correct=n % 2 == 0) for n in range(12))
    write_logs([plain(samples)], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        (row,) = run.summary(resamples=0).tables[0].rows
        trial = next(iter(run.store.recorded()))
        assert run.store.attempts(trial)[0][0].turns[0].text == "yes"
    times = ("task_time_median_s", "task_time_mean_s", "time_per_correct_s", "par2_s", "ttft_median_s")
    assert all(getattr(row, name).value is None for name in times)
    assert row.makespan_s is None
    assert row.phases is None
    assert row.accuracy.value == 0.5


def plain(samples: tuple[Sample, ...], **changes: Any) -> Log:
    settings = {"model": "m", "task": "t", "graded": True, "file": "x.json", "sha256": "0" * 64, "times": "all"}
    return Log(tool="Tool", version="1", samples=samples, **settings | changes)


def test_claims_across_logs_say_what_they_are_of(tmp_path: Path) -> None:
    """Two logs of the same items are compared item by item, and the table shows that they did not take turns; where a
    log shows a machine that drifted, no claim is made.
    """

    def log(name: str, factor: float, drift: float) -> Log:
        times = [factor * (1 + n % 3 / 50) * (1 + drift * n) for n in range(20)]
        samples = (Sample(item=str(n), prompt="?", text="a" * 20, seconds=s, correct=True) for n, s in enumerate(times))
        return plain(tuple(samples), model=name, sha256=name * 64, file=name)

    for drift, lower in ((0.0, "a"), (0.02, None)):
        path = tmp_path / f"{lower}.db"
        write_logs([log("a", 1.0, drift), log("b", 2.0, drift * 1.1)], path)
        with taskpace.open(path) as run:
            (table,) = run.summary(resamples=0).tables
        (pair,) = table.pairs
        assert (pair.turns, pair.task_time.lower, pair.task_time.items) == (False, lower, 20)
        assert [finding.code for finding in table.findings] == ["imported-apart"]


def test_items_without_a_name_are_never_paired_by_their_place(tmp_path: Path) -> None:
    """Without name and prompt, the n-th samples of two logs are not the same item."""
    samples = tuple(Sample(item=None, text="a", seconds=1.0, correct=True) for _ in range(12))
    write_logs([plain(samples, model=name, sha256=name * 64) for name in "ab"], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        (pair,) = run.summary(resamples=0).tables[0].pairs
    assert pair.task_time.items == 0


def test_every_output_says_that_it_was_imported(cli: Cli, tmp_path: Path) -> None:
    """Import, summary in all forms, compare, show, report and export name the tool and the log."""
    done = cli("import", str(INSPECT / "six-go.eval"), str(INSPECT / "six-score.eval"), "-o", "x.db")
    assert done.returncode == 0, done.stderr
    assert "Imported: measured by Inspect 0.3.285, not by taskpace." in done.stdout
    for form in ("terminal", "markdown", "json", "csv"):
        text = cli("summary", "x.db", "--format", form, "--full").stdout
        assert "imported" in text.lower(), form
        assert form == "csv" or "six-go.eval" in text, form
    a, b = (f"x.db:openai-api/known/known (six-{name}.eval)" for name in ("go", "score"))
    assert "was measured by Inspect" in cli("compare", a, b).stdout
    trial = cli("show", "x.db").stdout.splitlines()[1].split()[0]
    assert "imported from Inspect 0.3.285: six-" in cli("show", "x.db", trial).stdout
    assert cli("report", "x.db", "-o", "x.html").returncode == 0
    assert "Measured by another tool" in (tmp_path / "x.html").read_text()
    exported = cli("export", "x.db", "--to", "jsonl", "-o", "-").stdout.splitlines()
    assert all("Inspect" in json.loads(line)["imported"] for line in exported)
    refused = cli("run", "x.db")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "was imported" in refused.stderr


def test_a_judge_sees_texts_and_right_answers_alone(tmp_path: Path) -> None:
    """Answers whose text is not known are not judged; of the others the log's right answer is the reference."""
    write_logs([the_log(SAMPLES), the_log(INSPECT / "six-go.eval")], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        answers = load_answers(run.store)
        assert count_answers(run.store) == len(answers) == 4
    assert {answer.system for answer in answers} == {"openai-api/known/known"}
    assert {answer.reference for answer in answers} >= {"answer: 42", "answer: 240"}


TASK = """
name = "sums"
version = 1
description = "Sums"
max_tokens = 100
extraction = "number"
scorer = "number"
[data]
source = "items.jsonl"
[data.columns]
question = "question"
answer = "answer"
[[turns]]
prompt = "{{ question }}"
"""


def test_a_task_of_ours_grades_the_texts(tmp_path: Path) -> None:
    """--task finds the item of each prompt, grades the answer's text, and keeps what failed or was cut."""
    shutil.copy(LOGS / "staged.jsonl", tmp_path / "items.jsonl")
    (tmp_path / "task.toml").write_text(TASK)
    logs = [the_log(EVALSCOPE / "nine")]  # its prompts say more than the question
    task, items = match_items(logs, str(tmp_path / "task.toml"))
    write_logs(logs, tmp_path / "x.db", graded_by=task, items=items)
    with taskpace.open(tmp_path / "x.db") as run:
        (table,) = run.summary(resamples=0).tables
        frame = run.frame()
    assert table.task == "sums"
    # Of three numbers without a cue none is guessed.
    assert table.rows[0].outcomes == {"correct": 3, "wrong": 1, "unparsed": 1, "truncated": 1}
    assert frame["committed_s"].null_count() == frame.height
    both = [*logs, the_log(INSPECT / "nine.eval")]
    task, items = match_items(both, str(tmp_path / "task.toml"))
    write_logs(both, tmp_path / "two.db", graded_by=task, items=items)
    with taskpace.open(tmp_path / "two.db") as run:
        (table,) = run.summary(resamples=0).tables
        assert table.pairs[0].task_time.items == 6  # the same questions, by two tools
        # One of them added to every question, so that no prompt is both tools'.
        assert {cell.system: "other words" in " ".join(cell.notes) for cell in run.summary(resamples=0).imported} == {
            "known": True,
            "openai-api/known/known": True,
        }
        asked = run.frame()
        assert asked.filter(asked["system"] == "known")["prompt_bytes"].null_count() == 6
    with pytest.raises(LogError, match="no texts"):
        match_items([the_log(PERF / "nine" / "benchmark_data.db")], str(tmp_path / "task.toml"))
    with pytest.raises(LogError, match="asks none of"):
        match_items(logs, "mmlu-letter")


# -- bad input ---------------------------------------------------------------------------------------------------------


def zipped(path: Path, **members: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, value in members.items():
            made.writestr(name.replace("__", "/") + ".json", value if isinstance(value, str) else json.dumps(value))
    return path


def cut_zip(folder: Path) -> Path:
    (folder / "x.eval").write_bytes((INSPECT / "nine.eval").read_bytes()[:9000])
    return folder / "x.eval"


def bent_member(folder: Path) -> Path:
    content = bytearray((INSPECT / "nine.eval").read_bytes())
    content[1500:1600] = bytes(100)
    (folder / "x.eval").write_bytes(content)
    return folder / "x.eval"


def other_sqlite(folder: Path) -> Path:
    with sqlite3.connect(folder / "x.db") as db:
        db.execute("CREATE TABLE result (request TEXT)")
    db.close()
    return folder / "x.db"


def without_reviews(folder: Path) -> Path:
    shutil.copytree(EVALSCOPE / "nine", folder / "es")
    shutil.rmtree(folder / "es" / "reviews")
    return folder / "es"


def lonely_aggregate(folder: Path) -> Path:
    (aggregate,) = (LOGS / "every_eval").glob("*.json")
    return Path(shutil.copy(aggregate, folder))


def written(name: str, content: str | bytes) -> Any:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder / name

    return write


LINE = json.loads(SAMPLES.read_text().splitlines()[0])
BAD = {
    "a ZIP archive that is cut": (cut_zip, "damaged ZIP archive"),
    "a member that is damaged": (bent_member, "is damaged"),
    "a ZIP archive of something else": (lambda folder: zipped(folder / "x.eval", a={}), "no log of Inspect"),
    "an old format": (
        lambda folder: zipped(folder / "x.eval", header={"version": 1, "eval": {}}, samples__a={}),
        "inspect log convert",
    ),
    "a new format": (lambda folder: zipped(folder / "x.eval", header={"version": 9}), "newer taskpace"),
    "no samples": (lambda folder: zipped(folder / "x.eval", header={"version": 2, "eval": {}}), "--log-samples"),
    "JSON that is cut": (written("x.json", '{"version": 2, "status": "success", "eval": {'), "is it complete"),
    "UTF-16": (written("x.jsonl", SAMPLES.read_text("utf-8").encode("utf-16")), "is UTF-16 text: .* save it as UTF-8"),
    "a pickle": (written("x.pkl", pickle.dumps({"a": 1})), "pickle"),
    "another tool's SQLite": (other_sqlite, "not recognised"),
    "predictions without reviews": (without_reviews, "has no reviews"),
    "an aggregate without its samples": (lonely_aggregate, "put .*_samples.jsonl beside it"),
    "a new schema": (written("x.jsonl", json.dumps(LINE | {"schema_version": "9.0.0"})), "newer taskpace"),
    "a line that is cut": (written("x.jsonl", SAMPLES.read_text()[:-40]), "is it complete"),
    "an empty file": (written("x.json", ""), "not recognised"),
    "nothing": (lambda folder: folder / "x.json", "no such file"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_with_a_remedy(what: str, cli: Cli, tmp_path: Path) -> None:
    """Each names the file and what to do, in one line, with exit code 2, and leaves no run file."""
    make, expected = BAD[what]
    path = make(tmp_path)
    done = cli("import", str(path), "-o", "made.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert path.name in done.stderr
    with pytest.raises(TaskpaceError, match=expected):
        read_logs([path], None)
    assert not (tmp_path / "made.db").exists()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    ("log", "file"),
    [
        ("aiperf/six", "profile_export.jsonl"),
        ("aiperf/six", "profile_export_aiperf.json"),
        ("llmeter/six", "responses.jsonl"),
        ("llmeter/six", "run_config.json"),
        ("evalscope/nine", "predictions/known/gsm8k_default.jsonl"),
        ("evalscope/nine", "configs/task_config.yaml"),
        ("inspect", "six-go.json"),
    ],
)
def test_utf_16_within_a_folder_is_named(log: str, file: str, encoding: str, tmp_path: Path) -> None:
    """Of a folder the file that is UTF-16, as of a file that is imported alone, with or without a byte order mark."""
    folder = Path(shutil.copytree(LOGS / log, tmp_path / "log"))
    (folder / file).write_bytes((folder / file).read_text("utf-8").encode(encoding))
    with pytest.raises(LogError, match=re.escape(f"{folder / file}: is UTF-16 text: import the file as")):
        read_logs([folder], None)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    """A database whose pickles would make a file when loaded is imported, and there is no file."""
    path = tmp_path / "benchmark_data.db"
    shutil.copy(PERF / "nine" / "benchmark_data.db", path)

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    with sqlite3.connect(path) as db:
        db.execute("UPDATE result SET response_messages = ?", (pickle.dumps(Trap()),))
    db.close()
    assert len(the_log(path).samples) == 9
    assert not (tmp_path / "sprung").exists()


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member may say of its size what it likes: no more than the bound is unpacked."""
    monkeypatch.setattr(archive, "MOST_LINE_BYTES", 100_000)
    path = zipped(tmp_path / "x.eval", header={"version": 2, "eval": {}}, samples__a=" " * 200_000)
    with pytest.raises(LogError, match="more than 100,000 bytes"):
        read_logs([path], None)


def test_a_log_is_imported_once(tmp_path: Path) -> None:
    """The same log twice is refused, and a file that is there is not written over."""
    with pytest.raises(LogError, match="the same log"):
        read_logs([INSPECT / "six-go.eval"] * 2, None)
    (tmp_path / "x.db").write_text("mine")
    with pytest.raises(LogError, match="exists"):
        write_logs([the_log(INSPECT / "six-go.eval")], tmp_path / "x.db")
    assert (tmp_path / "x.db").read_text() == "mine"


@pytest.mark.parametrize("path", [path for path, _ in NINE.values()], ids=NINE)
def test_a_log_is_recognised_as_one_format(path: Path) -> None:
    """No format takes another's files for its own."""
    source = archive.Source(path)
    found = [name for name, each in FORMATS.items() if each.recognises(source)]
    assert len(found) == 1


# -- properties --------------------------------------------------------------------------------------------------------

maybe_seconds = st.none() | st.floats(0, 1e6)
samples_of_any_kind = st.builds(
    Sample,
    item=st.none() | st.text(max_size=3),
    repeat=st.none() | st.integers(1, 3),
    prompt=st.none() | st.text(max_size=5),
    text=st.none() | st.text(max_size=5),
    seconds=maybe_seconds,
    started_s=maybe_seconds,
    moments=st.lists(st.builds(Moment, st.floats(0, 1e6)), max_size=3).map(tuple),
    output_tokens=st.none() | st.integers(0, 2**40),
    finish=st.sampled_from([None, "stop", "length"]),
    error=st.none() | st.text(max_size=5),
    correct=st.sampled_from([None, True, False]),
    score=st.none() | st.floats(-1, 2),
)


@settings(max_examples=8, deadline=None)
@given(st.lists(samples_of_any_kind, min_size=1, max_size=8), st.integers(0, 2), st.booleans())
def test_any_samples_make_a_run_file_that_counts_them(
    tmp_path_factory: pytest.TempPathFactory, samples: list[Sample], missing: int, graded: bool
) -> None:
    """Whatever a log holds, the run file is sound, has all samples, and no unknown time or text is a number."""
    path = tmp_path_factory.mktemp("any") / "x.db"
    log = plain(tuple(samples), missing=missing, graded=graded, scenario=Scenario())
    write_logs([log], path)
    with taskpace.open(path) as run:
        (row,) = run.summary(resamples=0).tables[0].rows
        frame = run.frame()
    assert (row.n, row.planned) == (len(samples), len(samples) + missing)
    ended = [sample for sample in samples if sample.error is None]
    if any(sample.seconds is None for sample in ended):
        assert frame["task_time_s"].null_count() == len(samples)
    if any(sample.text is None for sample in ended):
        assert frame["output_bytes"].null_count() == len(samples)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = leaves | st.lists(leaves, max_size=2) | st.dictionaries(st.text(max_size=3), leaves, max_size=2)


@given(anything)
def test_foreign_values_are_what_they_should_be_or_nothing(value: Any) -> None:
    """Every reader of a foreign value gives its own type or null, and raises nothing."""
    number, seconds, count = values.number(value), values.seconds(value), values.count(value)
    assert number is None or (isinstance(number, float) and math.isfinite(number))
    assert seconds is None or seconds >= 0
    assert count is None or count >= 0
    assert isinstance(values.table(value), dict)
    assert isinstance(values.rows(value), list)
    assert values.text(value) is None or isinstance(value, str)
    assert values.moment_s(value) is None or isinstance(value, str)


def bent(value: Any, rng: random.Random) -> Any:
    """The same JSON with one part in twenty something else."""
    if rng.random() < 0.05:
        return rng.choice([None, True, -1, 1e308, 2**70, "", "\ud83d", [], {}, [[]], {"a": {}}, "2026-11-26"])
    if isinstance(value, dict):
        return {key: bent(part, rng) for key, part in value.items()}
    return [bent(part, rng) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(6))
def test_any_json_is_imported_or_refused(seed: int, tmp_path: Path) -> None:
    """Logs in which anything stands anywhere make a run file, or an error of one line; never a traceback."""
    rng = random.Random(seed)
    inspect = json.loads((INSPECT / "six-go.json").read_text())
    header = {key: value for key, value in inspect.items() if key not in ("version", "status", "samples")}
    samples = [bent(sample, rng) for sample in inspect["samples"]]
    log = {"version": 2, "status": "success", **bent(header, rng), "samples": samples}
    (tmp_path / "x.json").write_text(json.dumps(log))
    rows = map(json.loads, SAMPLES.read_text().splitlines())
    lines = [json.dumps({key: bent(value, rng) for key, value in row.items()}) for row in rows]
    (tmp_path / "x_samples.jsonl").write_text("\n".join(lines))
    for kind in ("predictions", "reviews"):
        (tmp_path / kind / "m").mkdir(parents=True)
        whole = (EVALSCOPE / "nine" / kind / "known" / "gsm8k_default.jsonl").read_text().splitlines()
        text = "\n".join(json.dumps(bent(json.loads(line), rng)) for line in whole)
        (tmp_path / kind / "m" / "x.jsonl").write_text(text)
    for number, path in enumerate((tmp_path / "x.json", tmp_path / "x_samples.jsonl", tmp_path)):
        refused = ""
        try:
            write_logs(read_logs([path], None), tmp_path / f"{number}.db")
        except TaskpaceError as exc:
            refused = str(exc)
        assert "\n" not in refused
        if not refused:
            with taskpace.open(tmp_path / f"{number}.db") as run:
                run.summary(resamples=0)


# -- Every Eval Ever, out and back -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
@workers_here()
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with one and with several turns, repeats, and answers that are wrong, cut and failed."""
    folder = tmp_path_factory.mktemp("export")
    options = {"time": "virtual", "correct": 0.5, "faults": [{"kind": "error", "rate": 0.2}]}
    experiment = taskpace.quick_experiment(
        models=("org/one", "two"),
        engine="simulated",
        options=options,
        tasks=("mmlu-letter", "dialogue"),
        items=4,
        repeats=2,
        max_tokens=12,
    )
    taskpace.run(experiment, folder / "x.db").close()
    done = run_here(folder, "export", "x.db", "--to", "eee", "-o", "out", "--organization", "us")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_export_fits_the_schemas(exported: Path) -> None:
    """Aggregates and samples fit the JSON Schemas of every-eval-ever 0.3.0, and belong together as its store wants."""
    names = ("eval", "instance_level_eval")
    aggregate, sample = (
        jsonschema.Draft7Validator(json.loads((LOGS / "every_eval" / "schema" / f"{name}.schema.json").read_text()))
        for name in names
    )
    files = sorted((exported / "out").glob("data/*/*/*/*.json"))
    assert [file.parts[-4:-1] for file in files] == [
        (task, developer, model)
        for task in ("dialogue", "mmlu-letter")
        for developer, model in (("org", "one"), ("unknown", "two"))
    ]
    for file in files:
        found = json.loads(file.read_text())
        aggregate.validate(found)
        detail = found["detailed_evaluation_results"]
        content = (exported / "out" / detail["file_path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == detail["checksum"]
        rows = [json.loads(line) for line in content.splitlines()]
        assert len(rows) == detail["total_rows"] == 8
        for row in rows:
            sample.validate(row)
            assert (row["evaluation_id"], row["model_id"]) == (found["evaluation_id"], found["model_info"]["id"])


def test_what_was_exported_comes_back(exported: Path, tmp_path: Path) -> None:
    """Outcomes, times and tokens of a run are the same after its export was imported."""
    logs = read_logs(sorted((exported / "out").glob("data/*/*/*/*_samples.jsonl")), None)
    write_logs(logs, tmp_path / "back.db")

    def seen(path: Path) -> list[Any]:
        with taskpace.open(path) as run:
            frame = run.frame().select("task", "outcome", "output_tokens", "repeat", "task_time_s")
        return sorted(frame.iter_rows(), key=repr)

    before, after = seen(exported / "x.db"), seen(tmp_path / "back.db")
    assert [row[:4] for row in before] == [row[:4] for row in after]
    assert [row[4] for row in before] == pytest.approx([row[4] for row in after])


def test_a_run_without_right_answers_is_not_published(cli: Cli, tmp_path: Path) -> None:
    """The format must have a verdict for each sample, and none is made up."""
    write_logs([the_log(PERF / "nine" / "benchmark_data.db")], tmp_path / "x.db")
    done = cli("export", "x.db", "--to", "eee")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--to jsonl" in done.stderr
    assert not (tmp_path / "x.eee").exists()


def test_a_log_without_times_is_predicted_with_its_failures(cli: Cli, tmp_path: Path) -> None:
    """Its answers have times elsewhere, bounds where one was cut or failed; an unknown cost is explained at once."""
    rows = [json.loads(line) for line in SAMPLES.read_text().splitlines()]
    # Without times this one's counts are not believed, so that it would have no time elsewhere.
    rows = [row for row in rows if row["sample_id"] != "right-long"]
    log = tmp_path / "x_samples.jsonl"
    log.write_text("".join(json.dumps(row | {"performance": None}) + "\n" for row in rows))
    write_logs(read_logs([log], None), tmp_path / "x.db")
    with Store.open(tmp_path / "x.db") as store:
        found = what_if(store, [Given(label="there", speed=given_speed(0.3, 80.0, None))], resamples=0)
    (table,) = found.tables
    assert table.measured.rows[0].time_per_correct_s.value is None
    for estimate in (table.predicted.rows[0].task_time_median_s, table.predicted.rows[0].time_per_correct_s):
        assert estimate.value is not None
        assert estimate.bound == ">="
    (system,) = (row.system for row in table.measured.rows)
    done = cli("summary", "x.db", "--price", f"{system}=2/h")
    assert "cost unknown: 8 of 8 trials have no known time" in " ".join(done.stdout.split())
