"""Endpoints that refuse: which requests are spent, what is said, what is kept, and what the same command does then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from tests.endpoint import MODEL, Asked, Endpoint, Writer, answer, fixed
from tests.in_process import InProcess, instant

import taskpace
from taskpace.api import Run
from taskpace.experiment.experiment import experiment_of
from taskpace.experiment.prepare import prepare
from taskpace.records import Failure, Record, Refusal
from taskpace.runner.events import CellGivenUp, Event, RunEnded, SystemGivenUp
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.worker import worker
from taskpace.worker.refusals import Refusals


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is calibrated, and no proxy is asked."""
    monkeypatch.setattr(worker, "calibrate", instant)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class Carried:
    """A run of one endpoint: what was told of it, and what is in its file."""

    def __init__(self, path: Path, server: Endpoint, *, items: int = 12, **settings: Any) -> None:
        options = {"url": server.url} | settings.pop("options", {})
        system = {"name": "e", "engine": "openai", "model": settings.pop("model", MODEL), "options": options}
        table = {"tasks": ["mmlu-letter"], "items": items, "warmup": 0, "system": [system]} | settings
        plan = prepare(experiment_of(table, "test", default_name="test"), path.parent)
        self.events: list[Event] = []
        asked = len(server.asked)
        with Store.create_or_continue(path, plan, "0") as store:
            self.ended: RunEnded = run_plan(plan, store, on_event=self.events.append, launch=InProcess)
        self.asked = server.asked[asked:]
        self.run: Run = taskpace.open(path)
        self.frame = self.run.frame()
        self.run.close()

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


Refuses = Callable[[Asked, int], bool]


def refusing(status: str, body: bytes, when: Refuses = lambda _asked, _number: True, **headers: str) -> Any:
    """A server that refuses some requests and answers the others."""

    async def behave(asked: Asked, writer: Writer, number: int) -> None:
        if when(asked, number):
            writer.write(fixed(status, body, **headers))
        else:
            await answer(asked, writer, number)

    return behave


KEY = ("401 Unauthorized", b'{"error": {"message": "No auth credentials found"}}')
QUOTA = ("429 Too Many Requests", b'{"error": {"message": "You exceeded your current quota"}}')
FIELD = ("400 Bad Request", b'{"error": {"message": "Unsupported parameter: \'top_p\'"}}')


@pytest.mark.parametrize(
    ("refusal", "settings", "spent", "told"),
    [
        (KEY, {}, 3, "status 401: No auth credentials found: set api_key_env"),
        (KEY, {"warmup": 1}, 1, "set api_key_env"),
        (FIELD, {}, 3, "status 400: Unsupported parameter: 'top_p': leave it out with omit = [\"top_p\"]"),
        (FIELD, {"warmup": 2}, 3, "leave it out"),
        (("404 Not Found", b'{"detail": "no model tiny"}'), {"model": "tinny"}, 3, 'did you mean "tiny"?'),
        (("404 Not Found", b'{"message": "Missing api-version"}'), {}, 3, 'set query = { api-version = "..." }'),
        (KEY, {"scenarios": ["concurrency=4"]}, 4, "set api_key_env"),
        (QUOTA, {"retries": 3}, 3, "exceeded your current quota"),
    ],
)  # fmt: skip
def test_the_first_refusals_end_the_cell_and_are_asked_again(tmp_path, refusal, settings, spent, told):
    """One line with the server's words and the remedy, no trial recorded; mended, the same command asks all of them."""
    with Endpoint(refusing(*refusal)) as server:
        first = Carried(tmp_path / "x.db", server, **settings)
        (given_up,) = first.told(SystemGivenUp)
        assert told in given_up.reason
        assert (given_up.left, first.ended.given_up, first.ended.done) == (12, ("e",), 0)
        assert spent <= len(first.asked) <= spent + 4 * ("scenarios" in settings)
        assert first.frame.height == 0
        server.behaviour = answer
        second = Carried(tmp_path / "x.db", server, **settings)
    assert (second.ended.done, second.ended.given_up, second.frame.height) == (12, (), 12)
    assert set(second.frame["attempt"]) == {1}


def test_the_refused_requests_are_kept(tmp_path):
    """As requests that count nowhere: their failures are in the file, under ids of their own."""
    with Endpoint(refusing(*KEY)) as server:
        Carried(tmp_path / "x.db", server)
    with taskpace.open(tmp_path / "x.db") as run:
        kept = run.store.query("SELECT phase, failure_kind FROM record")[1]
    assert kept == [("warm-up", "http-401")] * 3


@pytest.mark.parametrize(
    ("refusal", "when"),
    [
        (FIELD, lambda _asked, number: number > 0),  # an answer came first: it may be the prompts'
        (FIELD, lambda _asked, number: number % 3 != 2),  # never three in a row
        (KEY, lambda _asked, number: number % 3 != 2),
        (("400 Bad Request", b'{"error": {"message": "maximum context length is 9 tokens"}}'), lambda *_: True),
        (("500 Internal Server Error", b'{"error": {"message": "boom"}}'), lambda *_: True),
        (("429 Too Many Requests", b'{"error": {"message": "slow down"}}'), lambda *_: True),
    ],
)
def test_what_may_pass_or_be_one_prompt_s_own_is_a_result(tmp_path, refusal, when):
    """Every trial is recorded, and the run is through: nothing of it is asked again."""
    with Endpoint(refusing(*refusal, when)) as server:
        done = Carried(tmp_path / "x.db", server)
        assert (done.ended.done, done.ended.given_up, len(done.asked)) == (12, (), 12)
        assert set(done.frame["failure_kind"].drop_nulls()) == {f"http-{refusal[0][:3]}"}
        assert Carried(tmp_path / "x.db", server).asked == []


def test_fewer_refusals_than_end_a_cell_are_results(tmp_path):
    """Two items, both refused: two errors with the server's words, as there is nothing more to learn from."""
    with Endpoint(
        refusing("308 Permanent Redirect", b"", Location="https://else.example/v1/chat/completions")
    ) as server:
        done = Carried(tmp_path / "x.db", server, items=2)
    assert done.frame["failure_kind"].to_list() == ["http-308"] * 2
    assert "https://else.example/v1/chat/completions, not followed" in done.frame["failure_message"][0]


def test_one_cell_of_several_ends_alone(tmp_path):
    """A task whose requests are refused, for it has stop sequences, say, ends; the other one is carried out."""
    refused = refusing(*FIELD, lambda asked, _number: "Summarise" in asked.raw.decode())
    with Endpoint(refused) as server:
        done = Carried(tmp_path / "x.db", server, tasks=["mmlu-letter", "summarise"], items=6)
    assert [(event.task, event.left) for event in done.told(CellGivenUp)] == [("summarise", 6)]
    assert set(done.frame["task"]) == {"mmlu-letter"}
    assert (done.ended.given_up, done.told(SystemGivenUp)) == (("e",), [])


def test_systems_that_take_turns_go_on_without_the_refused_one(tmp_path):
    """Parts of one trial each: the third refusal of one system ends it, the other one has all its answers."""
    refused = refusing(*KEY, lambda asked, _number: asked.body["model"] == "other")
    with Endpoint(refused, models=[MODEL, "other"]) as server:
        systems = [{"name": name, "engine": "openai", "model": name, "options": {"url": server.url}}
                   for name in (MODEL, "other")]  # fmt: skip
        done = Carried(tmp_path / "x.db", server, system=systems)
        assert sum(asked.body["model"] == "other" for asked in done.asked) == 3
        assert done.frame["system"].to_list() == [MODEL] * 12
        server.behaviour = answer
        again = Carried(tmp_path / "x.db", server, system=systems)
    assert again.frame.height == 24


def test_the_list_of_models_decides_nothing(tmp_path):
    """Names that are not in it, a list that needs another key, none at all, one not in JSON: the model is asked."""
    listings = [
        fixed("200 OK", b'{"data": [{"id": "openai/*"}]}'),
        fixed("401 Unauthorized", b"{}"),
        fixed("403 Forbidden", b'{"error": {"message": "Missing scopes: api.model.read"}}'),
        fixed("405 Method Not Allowed", b""),
        fixed("200 OK", b'{"data": [{"id": "\xff\xfe"}]}'),
        fixed("200 OK", b"<html>"),
    ]
    for number, listing in enumerate(listings):
        with Endpoint(listing=listing) as server:
            done = Carried(tmp_path / f"{number}.db", server, items=1, model="openai/gpt-4o:nitro")
        assert done.frame["failure_kind"].to_list() == [None]
        assert done.asked[0].body["model"] == "openai/gpt-4o:nitro"


def test_a_request_can_be_shaped(tmp_path, monkeypatch):
    """Fields left out and renamed, parameters behind the URL, secrets among them from variables: as asked, and the
    summary shows what is left out.
    """
    monkeypatch.setenv("SIGNATURE", "s3cret/e")
    shape = {"omit": ["seed", "temperature", "stream_options"], "rename": {"max_tokens": "max_new_tokens"},
             "query": {"api-version": "2024-10-21", "sig": {"env": "SIGNATURE"}}}  # fmt: skip
    with Endpoint() as server:
        done = Carried(tmp_path / "x.db", server, items=1, options=shape)
    with taskpace.open(tmp_path / "x.db") as run:
        (row,) = run.summary(resamples=0).tables[0].rows
    (told,) = [finding.text for finding in row.findings if finding.code == "server-defaults"]
    assert told == "its requests leave out seed, temperature, stream_options: the server's own values apply"
    (asked,) = done.asked
    assert asked.path == "/v1/chat/completions?api-version=2024-10-21&sig=s3cret%2Fe"
    assert not {"seed", "temperature", "stream_options", "max_tokens"} & set(asked.body)
    assert asked.body["max_new_tokens"] > 0
    assert b"s3cret" not in (tmp_path / "x.db").read_bytes()


def record(refusal: Refusal | None, words: str = "x", *, failed: bool = True, phase: Any = "measured") -> Record:
    failure = Failure(kind="http-400", message=words, refusal=refusal) if failed else None
    return Record(trial_id="t", attempt=1, phase=phase, started_at="", turns=(), failure=failure, loop_lag_ns=None)


@given(st.lists(st.sampled_from(["answer", "passing", "always", "perhaps"]), max_size=12))
def test_a_cell_ends_by_three_in_a_row_and_by_nothing_less(kinds):
    """Whatever comes: it has ended exactly when three refusals of one cause came with no answer in between; those
    that may be one prompt's own count before any answer alone.
    """
    refusals = Refusals()
    ended, row, answered = False, [], False
    for kind in kinds:
        refusals.see("c", record(None if kind in ("answer", "passing") else kind, failed=kind != "answer"))
        if kind == "answer":
            row, answered = [], True
        elif kind == "always" or (kind == "perhaps" and not answered):
            row = [*row, kind] if row[-1:] == [kind] else [kind]
        ended = ended or len(row) == 3
        assert (refusals.why("c") is not None) == ended
        assert refusals.why("another") is None


def test_two_refusals_of_one_cause_differ_in_what_names_the_request():
    """Request ids and times do not count, other words do."""
    for last, ended in (("bad field (request 7f3a-99b1-04ce)", True), ("bad model (request 7f3a-99b1-04ce)", False)):
        refusals = Refusals()
        for words in ("bad field (request 0a1b-22c3-44d5)", "bad field (request 0a1b-22c3-44d6)", last):
            refusals.see("c", record("perhaps", words))
        assert (refusals.why("c") is not None) == ended
