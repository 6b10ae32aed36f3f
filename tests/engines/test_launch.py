"""Servers that taskpace starts itself: waited for, kept a log of, and gone when they are not needed any more."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli_w
from tests.in_process import InProcess

import taskpace
import taskpace.runner.events
from taskpace import models
from taskpace.engines.openai import launch
from taskpace.engines.openai.launch import Server, check_command, fill_in, free_port
from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.worker.messages import FromWorker

LLAMA = Path(__file__).parents[2] / "bench" / "llama_server.py"
# Answers as an endpoint with one model should, once PORT is bound; writes its process number and a child's to a file.
SMALL = """
import http.server, json, os, subprocess, sys, time
port, pids, delay = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(pids, "w").write(f"{os.getpid()} {child.pid}")
print("warming up", flush=True)
time.sleep(delay)

class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply("application/json", json.dumps({"data": [{"id": "small"}]}).encode())

    def do_POST(self):
        served = getattr(type(self), "served", 0) + 1
        type(self).served = served
        if len(sys.argv) > 4 and served > int(sys.argv[4]):
            print("fatal: no more", flush=True)
            os._exit(7)
        self.rfile.read(int(self.headers["Content-Length"]))
        said = {"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"}]}
        self.reply("text/event-stream", b"data: " + json.dumps(said).encode() + b"\\n\\ndata: [DONE]\\n\\n")

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until_gone(pids: list[int], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "the server outlived its user"
        time.sleep(0.05)


@pytest.fixture
def small(tmp_path):
    """An experiment file whose one system starts the small server; and where that notes its processes."""
    (tmp_path / "server.py").write_text(SMALL, "utf-8")

    def make(delay_s: float = 0.0, answers: int | None = None, items: int = 10, **options) -> tuple[Path, Path]:
        file, pids = tmp_path / "x.toml", tmp_path / "pids"
        more = "" if answers is None else str(answers)
        command = f"{sys.executable} {tmp_path / 'server.py'} {{port}} {pids} {delay_s} {more}"
        system = {"name": "my small one", "engine": "openai", "options": {"server": command} | options}
        plan = {"items": items, "tasks": ["mmlu-letter"], "warmup": 0, "system": [system]}
        file.write_text(tomli_w.dumps(plan), "utf-8")
        return file, pids

    return make


def numbers(pids: Path) -> list[int]:
    return [int(number) for number in pids.read_text("ascii").split()]


def test_a_server_is_started_waited_for_used_and_stopped_with_its_children(small, tmp_path):
    """It is asked once it answers, its log lies beside the run file, and neither it nor its child is left."""
    file, pids = small(delay_s=0.5)
    told: list[str] = []
    run = taskpace.run(file, tmp_path / "x.db", on_event=lambda event: told.append(type(event).__name__))
    frame = run.frame()
    assert frame["failure_kind"].null_count() == 10
    wait_until_gone(numbers(pids))
    assert (tmp_path / "x.db.my-small-one.log").read_text("utf-8") == "warming up\n"
    info = run.store.query("SELECT info FROM worker")[1][0][0]
    assert '"served_model":"small"' in info
    assert "x.db.my-small-one.log" in info


class OneByOne(InProcess):
    """Hands over each message by itself, as a worker does that says them with time between."""

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        first, *self._said = super().receive(timeout_s, gather_s)
        return [first]


def test_the_wait_is_told_with_the_log_s_last_line(small, tmp_path, monkeypatch):
    """Who waits sees for how long, and what the server printed last."""
    monkeypatch.setattr("taskpace.engines.openai.preflight._TELL_EVERY_S", 0.1)
    monkeypatch.setattr("taskpace.engines.openai.preflight._ASK_EVERY_S", 0.05)
    file, _ = small(delay_s=0.5, items=1)
    told: list[str] = []

    def listen(event) -> None:
        if isinstance(event, taskpace.runner.events.WorkerOpening):
            told.append(event.text)

    plan = prepare(load_experiment(file), tmp_path)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        run_plan(plan, store, on_event=listen, launch=OneByOne)
    assert told
    assert told[-1].startswith("starting the server, ")
    assert told[-1].endswith("s: warming up")


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("no-such-program --port {port}", {}, ["status 127", "no-such-program: No such file or directory"]),
        (f"{sys.executable} -c 'print(5 + 6); raise SystemExit({{port}} % 1 + 3)'", {}, ["status 3", "last words: 11"]),
        (f"{sys.executable} -c 'print(5 + 6, {{port}}, flush=True); import time; time.sleep(99)'",
         {"server_timeout_s": 1.0}, ["did not answer within 1 s", "last words: 11 "]),
    ],
)  # fmt: skip
def test_a_server_that_does_not_come_up_says_why(tmp_path, command, options, words):
    """One line with the status or the limit and the log's last words; no trial is spent."""
    file = tmp_path / "x.toml"
    system = {"name": "s", "engine": "openai", "options": {"server": command} | options}
    file.write_text(tomli_w.dumps({"items": 10, "tasks": ["mmlu-letter"], "system": [system]}), "utf-8")
    events: list[object] = []
    run = taskpace.run(file, tmp_path / "x.db", on_event=events.append)
    (given_up,) = [event for event in events if isinstance(event, taskpace.runner.events.SystemGivenUp)]
    for word in words:
        assert word in given_up.reason
    assert "\n" not in given_up.reason
    assert run.frame().height == 0


def test_a_server_that_dies_in_between_ends_its_part_with_its_last_words(small, tmp_path):
    """What it had in flight is an error, what follows finds no server, and the run reports how the server ended."""
    file, pids = small(answers=4, items=20, connect_timeout_s=1.0)
    events: list[object] = []
    run = taskpace.run(file, tmp_path / "x.db", on_event=events.append)
    (given_up,) = [event for event in events if isinstance(event, taskpace.runner.events.SystemGivenUp)]
    assert "ended with status 7" in given_up.reason
    assert "fatal: no more" in given_up.reason
    outcomes = run.frame()["outcome"].to_list()
    assert outcomes[:4].count("error") == 0
    assert set(outcomes[4:]) == {"error"}
    assert len(outcomes) < 20
    wait_until_gone(numbers(pids))


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "run"])
def test_no_server_outlives_a_kill(small, tmp_path, victim):
    """SIGKILL of the worker or of the whole command: the server and its child are gone soon after."""
    _, pids = small(delay_s=300)
    command = [sys.executable, "-m", "taskpace", "run", "x.toml", "-o", "x.db", "--progress", "quiet"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (pids.exists() and len(pids.read_text("ascii").split()) == 2):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found = numbers(pids)
        assert all(alive(pid) for pid in found)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
        (worker,) = [int(pid) for pid in children if b"taskpace.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(worker if victim == "worker" else process.pid, signal.SIGKILL)
        wait_until_gone(found)
        process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches over a server waits half a second, not ten, before it ends the server by force."""
    supervised = (
        "import sys; from taskpace.engines.openai import launch; launch._GRACE_S = launch._ORPHANS_GRACE_S = 0.5; "
        "sys.exit(launch.supervise(sys.argv[1:]))"
    )

    def start(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        *python, flag, module = command[:4]
        assert [flag, module] == ["-m", launch.__name__]
        return subprocess.Popen([*python, "-c", supervised, *command[4:]], **settings)

    monkeypatch.setattr(launch, "subprocess", SimpleNamespace(PIPE=subprocess.PIPE, Popen=start))


@pytest.mark.usefixtures("impatient")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an orphan has no new parent to end it")
def test_a_server_s_child_in_a_session_of_its_own_ends_with_it(tmp_path):
    """Also one that ignores the request, and whose parent has ended before: a daemon, as some servers make them."""
    child = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "open(sys.argv[1] + '.part', 'w').write(str(os.getpid())); os.rename(sys.argv[1] + '.part', sys.argv[1]); "
        "time.sleep(600)"
    )
    daemon = (
        "import subprocess, sys, time; "
        "subprocess.Popen([sys.executable, '-S', '-c', sys.argv[1], sys.argv[2]], start_new_session=True)"
    )
    script = (
        "import subprocess, sys, time; "
        "subprocess.run([sys.executable, '-S', '-c', sys.argv[1], sys.argv[2], sys.argv[3]]); time.sleep(600)"
    )
    pid = tmp_path / "pid"
    server = Server([sys.executable, "-S", "-c", script, daemon, child, str(pid)], tmp_path / "log")
    while not pid.exists():
        assert server.ended() is None
        time.sleep(0.02)
    found = numbers(pid)
    assert alive(found[0])
    server.stop()
    assert not alive(found[0])


@pytest.mark.usefixtures("impatient")
def test_a_server_that_ignores_the_request_is_killed(tmp_path):
    """Who does not end on SIGTERM ends on SIGKILL."""
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
    )
    server = Server([sys.executable, "-S", "-c", script], tmp_path / "log")
    while "up" not in server.last_lines(1):
        time.sleep(0.02)
    assert server.ended() is None
    server.stop()
    assert server.ended() == f"ended with status {128 + signal.SIGKILL}; its last words: up"


def test_the_log_is_appended_to_and_only_the_new_part_is_quoted(tmp_path):
    """A second start adds to the log; last words are this server's own, without colours."""
    log = tmp_path / "log"
    log.write_text("of an earlier one\n", "utf-8")
    server = Server([sys.executable, "-c", "print('\\x1b[31mred\\x1b[0m\\r\\nand over')"], log)
    while (ended := server.ended()) is None:
        time.sleep(0.02)
    assert ended == "ended with status 0; its last words: red | and over"
    server.stop()
    assert log.read_text("utf-8").startswith("of an earlier one\n")


def test_places_are_filled_in_word_by_word():
    """No shell: a model's path with blanks stays one word, and braces in other words stay."""
    words = fill_in("serve '{model}' --port={port} --host {host} --json '[1]'", 81, "my models/a b")
    assert words == ["serve", "my models/a b", "--port=81", "--host", "127.0.0.1", "--json", "[1]"]


@pytest.mark.parametrize(
    ("command", "word"),
    [("vllm serve x", "names no port"), ("", "names no port"), ("x {port} {modle}", "{modle} is unknown"),
     ("x {port} 'open", "No closing quotation")],
)  # fmt: skip
def test_a_command_that_cannot_work_is_refused(command, word):
    """Before anything is started, with the key."""
    with pytest.raises(ExperimentError, match='key "server"') as bad:
        check_command(command)
    assert word in str(bad.value)


def test_a_free_port_is_free():
    """It can be bound."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


@pytest.mark.real_model
def test_a_real_server_is_started_and_measured(tmp_path):
    """llama.cpp's own HTTP server with a real model, started by taskpace: real answers, counts and times."""
    path = models.resolve("smollm2-135m", Path()).path
    command = f"{sys.executable} {LLAMA} {{model}} {{port}} 2"
    file = tmp_path / "x.toml"
    system = {"name": "served", "engine": "openai", "model": str(path), "options": {"server": command}}
    (tmp_path / "x.csv").write_text("prompt\nName a colour.\nCount to nine.\nWho was Goethe?\nWhat is rain?\n", "utf-8")
    plan = {
        "tasks": [{"prompts": "x.csv"}],
        "scenarios": ["concurrency=2"],
        "max_tokens": 8,
        "warmup": 0,
        "system": [system],
    }
    file.write_text(tomli_w.dumps(plan), "utf-8")
    frame = taskpace.run(file, tmp_path / "x.db").frame()
    assert frame.height == 4
    assert frame["failure_kind"].null_count() == 4
    assert (frame["output_tokens"] > 0).all()
    assert (frame["prompt_tokens"] > 20).all()
    assert (frame["ttft_s"] > 0).all()
    assert "listening at http" in (tmp_path / "x.db.served.log").read_text("utf-8")
