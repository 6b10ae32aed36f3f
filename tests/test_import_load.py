"""Logs of AIPerf, GuideLLM, vllm bench serve and LLMeter against the truth of the server that they were made of.

The logs in ``tests/imports`` were made by the tools themselves against ``tests/imports/staged_server.py``;
docs/import.md says how.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.commandline import Cli

import taskpace
from taskpace.errors import LogError
from taskpace.experiment.scenario import Scenario
from taskpace.importing.chat_request import error_kind
from taskpace.importing.formats import FORMATS, read_logs
from taskpace.importing.grading import match_items
from taskpace.importing.logs import Log, Sample
from taskpace.importing.plan import make_imported_plan
from taskpace.importing.vllm_bench import _token_times
from taskpace.importing.writing import write_logs

LOGS = Path(__file__).with_name("imports")
AIPERF, ACCURACY = LOGS / "aiperf" / "perf", LOGS / "aiperf" / "accuracy"
GUIDELLM, VLLM, LLMETER = LOGS / "guidellm" / "report.json", LOGS / "vllm" / "one.json", LOGS / "llmeter" / "known"
NINE = {
    "aiperf": (AIPERF, AIPERF / "truth.jsonl"),
    "aiperf-accuracy": (ACCURACY, ACCURACY / "truth.jsonl"),
    "guidellm": (GUIDELLM, GUIDELLM.with_name("truth.jsonl")),
    "vllm": (VLLM, VLLM.with_name("truth.jsonl")),
    "llmeter": (LLMETER, LLMETER.with_name("truth.jsonl")),
}
CLIENT_S = 0.03
"""What a client on the same, busy machine adds to the server's own time at most, in these logs."""


def cases() -> dict[str, str]:
    """The case of each question."""
    rows = map(json.loads, (LOGS / "staged.jsonl").read_text().splitlines())
    return {row["question"]: row["case"] for row in rows}


def by_case(samples: tuple[Sample, ...]) -> dict[str, Sample]:
    """Samples with a prompt, by the case that they ask."""
    known = [each for each in samples if each.prompt is not None]
    return {next(case for text, case in cases().items() if text in (each.prompt or "")): each for each in known}


def truths(path: Path) -> dict[str, dict[str, Any]]:
    """What the server did for each case, in seconds since it first read the request."""
    found: dict[str, dict[str, Any]] = {}
    for row in map(json.loads, path.read_text().splitlines()):
        # A tool's own test request asks the first question once more; a retry is the same request.
        began = (
            found[row["case"]]["at_ns"] if row["case"].startswith("refused") and row["case"] in found else row["at_ns"]
        )
        thoughts, texts = row.get("thoughts_ns", []), row.get("texts_ns", [])
        ends = {"first": min(thoughts + texts, default=None), "last": max(texts, default=None), "done": row["ended_ns"]}
        found[row["case"]] = row | {
            "at_ns": began, **{f"{name}_s": None if ns is None else (ns - began) / 1e9 for name, ns in ends.items()}
        }  # fmt: skip
    return found


def the_log(path: Path) -> Log:
    (log,) = read_logs([path], None)
    return log


@pytest.mark.parametrize("tool", NINE)
def test_task_times_are_the_servers(tool: str) -> None:
    """The time of each whole answer is the server's until its last text, and the little that the client adds."""
    path, truth_file = NINE[tool]
    truth = truths(truth_file)
    ended = {case: each for case, each in by_case(the_log(path).samples).items() if each.error is None}
    assert len(ended) >= 5
    for case, sample in ended.items():
        assert sample.seconds is not None
        assert 0 <= sample.seconds - truth[case]["last_s"] <= CLIENT_S


@pytest.mark.parametrize("tool", NINE)
def test_first_tokens_are_the_servers_or_unknown(tool: str) -> None:
    """The first token, reasoning included, is the server's; LLMeter does not see reasoning, and it is unknown there."""
    path, truth_file = NINE[tool]
    truth = truths(truth_file)
    for case, sample in by_case(the_log(path).samples).items():
        if sample.error is not None or (tool, case) == ("llmeter", "reasoning"):
            assert not sample.moments
            continue
        assert 0 <= sample.moments[0].seconds - truth[case]["first_s"] <= CLIENT_S


@pytest.mark.parametrize("tool", ["aiperf", "aiperf-accuracy", "vllm", "llmeter"])
def test_times_of_failed_requests_are_lower_bounds(tool: str) -> None:
    """A failed request took at least as long as its log's time; 0 is never taken for a time."""
    path, truth_file = NINE[tool]
    truth = truths(truth_file)
    log = the_log(path)
    for case, sample in by_case(log.samples).items():
        if sample.error is None or sample is log.samples[0]:
            continue
        assert sample.seconds is None or 0 < sample.seconds <= truth[case]["done_s"] + CLIENT_S


def test_llmeter_times_its_own_start() -> None:
    """LLMeter's first request holds the start of its client, seconds here, which the log's ``times`` says."""
    log = the_log(LLMETER)
    first = log.samples[0]
    (case,) = (case for case, sample in by_case(log.samples).items() if sample is first)
    assert first.seconds is not None
    assert first.seconds > truths(NINE["llmeter"][1])[case]["done_s"] + 1
    assert "start" in log.times


@pytest.mark.parametrize("tool", NINE)
def test_counts_and_cuts_are_the_servers(tool: str) -> None:
    """Output tokens are what the server counted; a cut answer is truncated, or the log says that it cannot tell."""
    path, truth_file = NINE[tool]
    truth, log = truths(truth_file), the_log(path)
    for case, sample in by_case(log.samples).items():
        if sample.error is not None:
            assert sample.output_tokens is None
            continue
        assert sample.output_tokens == truth[case]["output_tokens"]
        if tool == "vllm":
            assert any("cut answers cannot be distinguished" in note for note in log.notes)
        else:
            assert (sample.finish == "length") == (truth[case]["finish"] == "length")


EXPECTED = {
    "aiperf": {"completed": 4, "truncated": 1, "error": 3, "timeout": 1},
    "aiperf-accuracy": {"correct": 3, "wrong": 1, "truncated": 1, "error": 3, "timeout": 1},
    "guidellm": {"completed": 4, "truncated": 1, "error": 4},
    "vllm": {"completed": 5, "error": 4},
    # Its client asks again, so the request that is refused once is answered.
    "llmeter": {"completed": 5, "truncated": 1, "error": 2, "timeout": 1},
}


@pytest.mark.parametrize("tool", NINE)
def test_issued_is_recorded(tool: str, tmp_path: Path) -> None:
    """All nine requests are recorded, failed ones included; AIPerf's warm-up and vLLM's test request are not."""
    write_logs([the_log(NINE[tool][0])], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        (table,) = run.summary(resamples=0).tables
    (row,) = table.rows
    assert row.outcomes == EXPECTED[tool]
    assert (row.planned, row.n) == (9, 9)


def test_aiperf_counts_failed_and_cut_answers_as_wrong() -> None:
    """AIPerf says 3 of 9, and five of the six that it counts as wrong failed or were cut."""
    summary = json.loads((ACCURACY / "profile_export_aiperf.json").read_text())
    assert (summary["accuracy.overall"]["sum"], summary["accuracy.overall"]["count"]) == (3, 9)
    log = the_log(ACCURACY)
    assert [sample.correct for sample in log.samples].count(False) == 1
    assert log.scorer == "lighteval_gsm8k"


@pytest.mark.parametrize("tool", NINE)
def test_a_task_grades_texts_with_times(tool: str, tmp_path: Path) -> None:
    """With ``--task`` answers are graded and failed requests without a prompt count; with AIPerf's raw export the time
    of the committed answer is known.
    """
    logs = [the_log(NINE[tool][0])]
    task, items = match_items(logs, str(LOGS / "staged.toml"))
    write_logs(logs, tmp_path / "x.db", graded_by=task, items=items)
    with taskpace.open(tmp_path / "x.db") as run:
        (row,) = run.summary(resamples=0).tables[0].rows
        frame = run.frame()
    assert row.n == 9
    assert row.outcomes["wrong"] == 1
    assert row.outcomes["correct"] >= 2
    committed = frame.filter(frame["outcome"] == "correct")["committed_s"]
    assert (committed.null_count() == 0) == tool.startswith("aiperf")


def edited(tmp_path: Path, path: Path, name: str, change: Callable[[str], str | None]) -> Path:
    """A copy of a log with one file changed, or removed where the change gives null."""
    folder = tmp_path / "log"
    shutil.copytree(path if path.is_dir() else path.parent, folder)
    text = change((folder / name).read_text())
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    return folder if path.is_dir() else folder / path.name


def replaced(*keys: str | int, value: Any) -> Callable[[str], str]:
    """A change of one value within a JSON file."""

    def change(text: str) -> str:
        whole = json.loads(text)
        at = whole
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value
        return json.dumps(whole)

    return change


def cut(text: str) -> str:
    return text[: len(text) // 2]


def without_last(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    ("path", "name", "change"),
    [
        (AIPERF, "profile_export.jsonl", without_last),
        (LLMETER, "responses.jsonl", without_last),
        (VLLM, "one.json", replaced("num_prompts", value=10)),
        (GUIDELLM, "report.json", replaced("benchmarks", 0, "scheduler_metrics", "requests_made", "total", value=10)),
    ],
)
def test_what_a_log_lacks_is_missing(tmp_path: Path, path: Path, name: str, change: Callable[[str], str]) -> None:
    """A request that the log says was sent and does not have is missing, not forgotten."""
    if path is GUIDELLM:
        change = replaced(
            "benchmarks",
            0,
            "requests",
            "errored",
            value=json.loads(path.read_text())["benchmarks"][0]["requests"]["errored"][1:],
        )
    assert the_log(edited(tmp_path, path, name, change)).missing == 1


BAD: dict[str, tuple[Path, str, Callable[[str], str | None], str]] = {
    "AIPerf without its settings": (AIPERF, "profile_export_aiperf.json", lambda _: None, "copy the whole folder"),
    "AIPerf without its raw half": (AIPERF, "profile_export_raw.jsonl", lambda _: None, "copy the whole folder"),
    "AIPerf without its verdicts": (ACCURACY, "accuracy_export.jsonl", lambda _: None, "copy the whole folder"),
    "AIPerf, cut": (AIPERF, "profile_export.jsonl", cut, "is it complete"),
    "AIPerf, raw of another run": (AIPERF, "profile_export_raw.jsonl", without_last, "copy both from one run"),
    "AIPerf, verdicts of another run": (
        ACCURACY,
        "accuracy_export.jsonl",
        lambda text: text.replace('"x_request_id":"', '"x_request_id":"z'),
        "copy both from one run",
    ),
    "AIPerf, another schema": (
        AIPERF, "profile_export_aiperf.json", replaced("schema_version", value="2.0"), "make it again with AIPerf 0.13",
    ),
    "GuideLLM, cut": (GUIDELLM, "report.json", cut, "is it complete"),
    "GuideLLM, version 1": (GUIDELLM, "report.json", replaced("metadata", "version", value=1), "make it again with"),
    "GuideLLM, no benchmarks": (GUIDELLM, "report.json", replaced("benchmarks", value=[]), "of a run that ended"),
    "GuideLLM, no counts": (
        GUIDELLM, "report.json", replaced("benchmarks", 0, "scheduler_metrics", value={}), "as GuideLLM wrote it",
    ),
    "vLLM, cut": (VLLM, "one.json", cut, "is it complete"),
    "vLLM without details": (VLLM, "one.json", replaced("ttfts", value=None), "--save-detailed"),
    "vLLM, lists of two lengths": (VLLM, "one.json", replaced("errors", value=[]), "as vllm bench serve wrote it"),
    "vLLM, too few prompts": (VLLM, "one.prompts.jsonl", without_last, "in the order of the requests"),
    "vLLM, prompts of another form": (VLLM, "one.prompts.jsonl", lambda _: '{"question": "?"}\n', "--dataset-path"),
    "LLMeter without its summary": (LLMETER, "summary.json", lambda _: None, "copy the whole folder"),
    "LLMeter, cut": (LLMETER, "responses.jsonl", cut, "is it complete"),
    "LLMeter, summary of another run": (LLMETER, "summary.json", replaced("total_requests", value=3), "from one run"),
    "LLMeter, no responses": (LLMETER, "responses.jsonl", lambda _: "", "not recognised"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_with_a_remedy(name: str, tmp_path: Path) -> None:
    """A damaged log, another version and the missing half of a join are refused in a line that says what to do."""
    path, file, change, remedy = BAD[name]
    with pytest.raises(LogError) as found:
        read_logs([edited(tmp_path, path, file, change)], None)
    assert remedy in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["aiperf", "guidellm", "vllm", "llmeter"])
def test_another_tools_log_is_refused(name: str) -> None:
    """With ``--from`` each refuses the logs of the others, and a folder that has none."""
    for path in (AIPERF, GUIDELLM, VLLM, LLMETER, LOGS):
        if path is NINE[name][0]:
            continue
        with pytest.raises(LogError) as found:
            read_logs([path], name)
        assert ": name the" in str(found.value)


def test_the_command_says_so_too(cli: Cli, tmp_path: Path) -> None:
    """Exit code 2, one line, no traceback."""
    path = edited(tmp_path, AIPERF, "profile_export_raw.jsonl", lambda _: None)
    result = cli("import", str(path), "-o", str(tmp_path / "x.db"))
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("tool", NINE)
def test_a_log_is_of_one_tool(tool: str) -> None:
    """No format takes a log of another tool for its own, a folder or a file of it."""
    from taskpace.importing.source import Source

    path = NINE[tool][0]
    files = [path, *(path.glob("*export*.jsonl") if path.is_dir() else [])]
    for file in files:
        took = [name for name, each in FORMATS.items() if each.recognises(Source(file))]
        assert took == [tool.removesuffix("-accuracy")]


@pytest.mark.parametrize(
    ("events", "tokens", "chat", "found"),
    [
        ([0.1, 0.2, 0.3], 3, True, []),  # the role and two tokens in one event, or three tokens: unknown
        ([0.1, 0.3, 0.4, 0.5], 2, True, [0.3, 0.4]),  # the role first, the reason of the end last
        ([0.3, 0.3001, 0.4], 2, True, [0.3001, 0.4]),  # vLLM's own server: the role with the first token
        ([0.1, 0.3, 0.4], 2, True, []),  # the role first, or the reason last: unknown
        ([0.1, 0.3, 0.4], 9, True, []),  # several tokens in an event
        ([0.1, 0.3], 9, False, [0.1, 0.3]),  # no roles in completions
        ([], 9, True, []),
    ],
)
def test_a_role_is_no_token(events: list[float], tokens: int, chat: bool, found: list[float]) -> None:
    """The ttft of vLLM is that of the first event; where it may hold the role alone, the first token is unknown."""
    assert _token_times(events, tokens, chat) == found


def test_waiting_counts_at_a_rate_of_arrivals(tmp_path: Path) -> None:
    """In a closed loop vLLM's queue times are the client's bookkeeping; at a rate they are part of the task's time."""
    closed = the_log(VLLM)
    path = edited(
        tmp_path,
        VLLM,
        "one.json",
        lambda text: replaced("request_rate", value=2.0)(replaced("max_concurrency", value=None)(text)),
    )
    opened = the_log(path)
    waits = json.loads(VLLM.read_text())["queue_times"]
    assert (closed.scenario, opened.scenario) == (Scenario(), Scenario(rate=2.0))
    for wait, before, after in zip(waits, closed.samples, opened.samples, strict=True):
        if before.seconds is not None and after.seconds is not None and before.started_s and after.started_s:
            assert after.seconds - before.seconds == pytest.approx(wait)
            assert before.started_s - after.started_s == pytest.approx(wait)


def test_several_results_in_one_file(tmp_path: Path) -> None:
    """What --append-result wrote is a log for each result."""
    one = json.loads(VLLM.read_text())
    path = tmp_path / "two.json"
    path.write_text(json.dumps(one) + "\n" + json.dumps(one | {"max_concurrency": 4}))
    assert [log.scenario.name for log in read_logs([path], "vllm")] == ["single", "concurrency=4"]


def test_without_the_raw_export_the_profile_is_enough(tmp_path: Path) -> None:
    """AIPerf's records alone give the same times; the limit is then seen by the tokens."""
    path = edited(tmp_path, AIPERF, "profile_export_raw.jsonl", lambda _: None)
    summary = path / "profile_export_aiperf.json"
    summary.write_text(replaced("input_config", "artifacts", "raw", value=False)(summary.read_text()))
    for whole, part in zip(the_log(AIPERF).samples, the_log(path).samples, strict=True):
        assert (part.seconds, part.finish == "length") == (whole.seconds, whole.finish == "length")
        assert len(part.moments) == len(whole.moments)
        assert part.text is None


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Error code: 500 - {'error': 1}", "http-500"),
        ("HTTPStatusError(\"Server error '503 Service Unavailable'\")", "http-503"),
        ("timed out", "timeout"),
        ("TimeoutError()", "timeout"),
        ("peer closed connection", "failed"),
    ],
)
def test_kinds_of_failures(message: str, kind: str) -> None:
    """Failures are grouped by what their message says."""
    assert error_kind(message) == kind


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.sampled_from(["body", "value", "choices"])
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=4
)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_value_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever stands anywhere in a log, the importer reads it or refuses it in a line."""
    files = [(VLLM, "one.json"), (GUIDELLM, "report.json"), (LLMETER, "responses.jsonl")]
    files += [(AIPERF, "profile_export.jsonl"), (AIPERF, "profile_export_raw.jsonl")]
    path, file = data.draw(st.sampled_from(files))

    def change(text: str) -> str:
        lines = text.splitlines() if file.endswith("l") else [text]
        index = data.draw(st.integers(0, len(lines) - 1))
        whole = json.loads(lines[index])
        at: Any = whole
        while True:
            key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not at[key] or not isinstance(at[key], dict | list) or data.draw(st.booleans()):
                at[key] = data.draw(ANYTHING)
                break
            at = at[key]
        lines[index] = json.dumps(whole)
        return "\n".join(lines) + "\n"

    folder = tmp_path_factory.mktemp("any")
    try:
        logs = read_logs([edited(folder, path, file, change)], None)
        make_imported_plan(logs, "x")
    except LogError as exc:
        assert "\n" not in str(exc)  # noqa: PT017 - most edits are read


@pytest.mark.parametrize(
    "values",
    [
        {"start_times": [1e300, *[0.0] * 8]},
        {"start_times": [-1e300, *[0.0] * 8]},
        {"queue_times": [8e6] * 9, "ttfts": [8e6] * 9, "request_rate": 1.0},
        {"itls": [[8e6] * 5] * 9},
        {"output_lens": [2**53] * 9, "input_lens": [2**60] * 9},
        {"errors": ["\n"] * 9},
    ],
)
def test_values_beyond_a_run_file_are_unknown(values: dict[str, Any], tmp_path: Path) -> None:
    """Times and counts that no run file could hold make a run file all the same, and nothing of them is claimed."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps(json.loads(VLLM.read_text()) | values))
    write_logs(read_logs([path], None), tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        assert run.summary(resamples=0).tables[0].rows[0].n == 9


SIX = {
    "aiperf": (LOGS / "aiperf" / "six", LOGS / "aiperf" / "six" / "truth.jsonl"),
    "guidellm": (GUIDELLM.with_name("six.json"), GUIDELLM.with_name("six-truth.jsonl")),
    "vllm": (VLLM.with_name("six.json"), VLLM.with_name("six-truth.jsonl")),
    "llmeter": (LLMETER.with_name("six"), LLMETER.with_name("six-truth.jsonl")),
}


def mean_ttft_s(tool: str) -> float:
    """The mean time to first token that the tool itself reports of its six requests."""
    path = SIX[tool][0]
    if tool == "aiperf":
        return float(json.loads((path / "profile_export_aiperf.json").read_text())["time_to_first_token"]["avg"]) / 1e3
    if tool == "guidellm":
        metrics = json.loads(path.read_text())["benchmarks"][0]["metrics"]
        return float(metrics["time_to_first_token_ms"]["successful"]["mean"]) / 1e3
    if tool == "vllm":
        return float(json.loads(path.read_text())["mean_ttft_ms"]) / 1e3
    return float(json.loads((path / "stats.json").read_text())["time_to_first_token-average"])


@pytest.mark.parametrize(("tool", "says"), [("aiperf", 0.36), ("guidellm", 0.33), ("vllm", 0.11), ("llmeter", 1.11)])
def test_four_ways_of_timing_become_one(tool: str, says: float) -> None:
    """Four tools report 0.11 to 1.11 s to the first token of the same six requests; imported they are the server's
    0.32 s, or unknown, but for LLMeter's first request.
    """
    path, truth_file = SIX[tool]
    truth, log = truths(truth_file), the_log(path)
    assert round(mean_ttft_s(tool), 2) == says
    ended = {case: each for case, each in by_case(log.samples).items() if each.error is None and each.moments}
    assert len(ended) == (4 if tool == "llmeter" else 5)
    apart = [
        each.moments[0].seconds - truth[case]["first_s"] for case, each in ended.items() if each is not log.samples[0]
    ]
    assert all(0 <= each <= 2.5 * CLIENT_S for each in apart)
    outcomes = [each.error is None and each.finish != "length" for each in log.samples]
    assert outcomes.count(False) == (1 if tool == "vllm" else 2)


def test_failed_and_cut_answers_of_aiperf_are_told_apart(tmp_path: Path) -> None:
    """AIPerf counts the six answers as three right and three wrong; two of these failed or were cut."""
    write_logs([the_log(SIX["aiperf"][0])], tmp_path / "x.db")
    with taskpace.open(tmp_path / "x.db") as run:
        (row,) = run.summary(resamples=0).tables[0].rows
    assert row.outcomes == {"correct": 3, "wrong": 1, "truncated": 1, "error": 1}
    summary = json.loads((SIX["aiperf"][0] / "profile_export_aiperf.json").read_text())
    assert (summary["accuracy.overall"]["sum"], summary["accuracy.overall"]["count"]) == (3, 6)
