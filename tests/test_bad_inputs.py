"""Bad input: what each prints. The table in docs/bad-inputs.md is made here and held against what really happens.

Rewrite it with `python -m tests.test_bad_inputs`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.commandline import run_apart, run_here

PAGE = Path(__file__).parents[1] / "docs" / "bad-inputs.md"
SYSTEM = '[[system]]\nname = "a"\nengine = "simulated"\noptions = { time = "virtual" }\n'
TWO = SYSTEM + SYSTEM.replace('"a"', '"b"')
GATE = '--until decided --recorded --fail-if "task_time > 5%"'
GATE_OF_ACCURACY = '--until decided --fail-if "accuracy < -3%"'
QUICK = "run -m sim --engine simulated"
ROW = '{"prompt": "Say yes."}\n'


class Case(NamedTuple):
    """One way to get it wrong."""

    what: str
    command: str
    prepare: Callable[[Path], None] = lambda _folder: None
    wrap: tuple[str, ...] = ()
    """A program that runs the command, as a process of its own, under some restriction."""
    apart: bool = False
    """Whether it takes a process of its own even so."""
    code: int = 2


def file(name: str, content: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def endpoint(options: str = "") -> Callable[[Path], None]:
    return file("x.toml", f'[[system]]\nname = "a"\nengine = "openai"\noptions = {{ {options} }}\n')


def both(*steps: Callable[[Path], None]) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        for step in steps:
            step(folder)

    return prepare


def database(name: str, *statements: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        connection = sqlite3.connect(folder / name)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return make


@cache
def made(command: str, *written: tuple[str, str], of: tuple[Any, ...] = ()) -> dict[str, bytes]:
    """What is in a folder after a command, by file name: made once, for it takes a worker."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if of:
            put(made(*of), folder)
        for path, text in written:
            file(path, text)(folder)
        done = run_here(folder, *shlex.split(command))
        assert done.returncode in (0, 1), done.stderr
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


FINISHED = (f"{QUICK} --prompts one.jsonl -n 1 -o x.db", ("one.jsonl", ROW))


def finished(folder: Path) -> None:
    """A run of one trial in x.db."""
    put(made(*FINISHED), folder)


def gated(folder: Path) -> None:
    """A run of one trial in x.db, and an experiment with the same prompt in x.toml."""
    finished(folder)
    (folder / "one.jsonl").write_text(ROW)
    (folder / "x.toml").write_text('tasks = [{ prompts = "one.jsonl" }]\n' + SYSTEM)


def recorded(name: str, *names: str, rows: str = ROW) -> Callable[[Path], None]:
    """A run of simulated systems on a file of prompts, every one of them asked."""
    systems = "".join(SYSTEM.replace('"a"', f'"{one}"') for one in names or ("sim",))
    files = ("rows.jsonl", rows), ("rows.toml", 'tasks = [{ prompts = "rows.jsonl" }]\n' + systems)
    return lambda folder: put(made(f"run rows.toml -o {name}", *files), folder)


JUDGE = '[judge]\nengine = "simulated"\noptions = { time = "virtual" }\n'


def judged(folder: Path) -> None:
    """What a simulated judge says of x.db, in x.judge.db."""
    put(made("judge x.db -m sim --engine simulated", of=FINISHED), folder)


def recorded_failures(folder: Path) -> None:
    """A run in x.db without a trial that ends by itself."""
    faults = 'options = { time = "virtual", faults = [{ kind = "error" }] }'
    system = f'[[system]]\nname = "a"\nengine = "simulated"\n{faults}\n'
    put(made("run x.toml -o x.db", ("x.toml", 'items = 1\ntasks = ["mmlu-letter"]\n' + system)), folder)


def newer(folder: Path) -> None:
    finished(folder)
    database("x.db", "PRAGMA user_version = 99")(folder)


def truncated_model(folder: Path) -> None:
    """A real model's file, cut off."""
    from taskpace.models import resolve

    with Path(resolve("smollm2-135m", folder).path).open("rb") as whole:
        (folder / "cut.gguf").write_bytes(whole.read(4_000_000))


def task_file(**changes: str) -> Callable[[Path], None]:
    keys = {
        "name": '"mine"',
        "version": "1",
        "description": '"d"',
        "max_tokens": "9",
        "data": '{ source = "rows.jsonl" }',
        "turns": '[{ prompt = "{{ prompt }}" }]',
    }
    text = "".join(f"{key} = {value}\n" for key, value in (keys | changes).items())
    return both(file("mine.toml", text), file("rows.jsonl", ROW))


def hidden(folder: Path, module: str = "xllamacpp") -> None:
    """Makes a module look as if it were not installed, for programs started in this folder."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules['{module}'] = None\n")


def priced(price: str) -> Callable[[Path], None]:
    """An experiment whose system has a price."""
    return file("x.toml", f"{SYSTEM}price = {price}\n")


SMALL_FILES = ("sh", "-c", 'ulimit -f 480; exec "$@"', "sh")
"""No file may grow beyond a quarter of a megabyte: what a disk that fills up does."""

SMALL_DISK = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mkdir small && mount -t tmpfs -o size=400k none small && exec "$@"',
    "sh",
)
"""``small`` is a disk of 400 kB, in a mount namespace of the command's own."""

READ_ONLY = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mkdir fixed && mount -t tmpfs -o ro none fixed && exec "$@"',
    "sh",
)
"""``fixed`` is a disk that cannot be written."""


def damaged(folder: Path) -> None:
    """A finished run, with a time that cannot be."""
    finished(folder)
    with contextlib.closing(sqlite3.connect(folder / "x.db")) as db:
        db.executescript("DROP TRIGGER turn_is_final; UPDATE turn SET end_ns = -5")


def cut_short(folder: Path) -> None:
    """The first half of a finished run."""
    finished(folder)
    data = (folder / "x.db").read_bytes()
    (folder / "x.db").write_bytes(data[: len(data) // 2])


TWELVE = "".join(f'{{"prompt": "Say {number}."}}\n' for number in range(12))

CASES = [
    Case("an experiment file that is not there", "run none.toml"),
    Case("a folder for an experiment file", "run old", lambda folder: (folder / "old").mkdir()),
    Case("a misspelt experiment that ships", "run core-2 -m sim"),
    Case("an unknown key", "run x.toml", file("x.toml", "itms = 3\n" + SYSTEM)),
    Case("an unknown key of a system", "run x.toml", file("x.toml", SYSTEM + "temprature = 0.5\n")),
    Case("a wrong type", "run x.toml", file("x.toml", 'items = "many"\n' + SYSTEM)),
    Case("not TOML", "run x.toml", file("x.toml", "items = = 3\n")),
    Case("an experiment in UTF-16", "run x.toml", file("x.toml", SYSTEM.encode("utf-16"))),
    Case("broken UTF-8", "run x.toml", file("x.toml", b'name = "caf\xe9"\n' + SYSTEM.encode())),
    Case("an invalid margin", "run x.toml --until decided --margin 0%", file("x.toml", TWO)),
    Case("a margin without --until", "run x.toml --margin 5%", file("x.toml", TWO)),
    Case("one system alone with --until", "run x.toml --until decided", file("x.toml", SYSTEM)),
    Case("repeats with --until", "run x.toml --until decided --repeats 2", file("x.toml", TWO)),
    Case("a negative count", "run x.toml", file("x.toml", "items = -5\n" + SYSTEM)),
    Case("a negative count as a flag", f"{QUICK} --repeats -1"),
    Case("an unknown scenario", f"{QUICK} -s concurency=4"),
    Case("an invalid rate", f"{QUICK} -s rate=fast"),
    Case("an empty sweep of scenarios", "run x.toml", file("x.toml", "scenarios = [{ rate = [] }]\n" + SYSTEM)),
    Case("an invalid deadline", f"{QUICK} --deadline=-1"),
    Case("two systems of one name", "run x.toml", file("x.toml", SYSTEM + SYSTEM)),
    Case("nothing to run", "run"),
    Case("a file and flags at once", "run x.toml --temperature 1", file("x.toml", SYSTEM)),
    Case("a model for a run file", "run x.db --model other", finished),
    Case("an unknown command", "rnu x.toml"),
    Case("a malformed flag", f"{QUICK} --where subject"),
    Case("an unknown engine", "run -m x --engine lamacpp"),
    Case("an unknown engine option", "run x.toml", file("x.toml", SYSTEM.replace("time =", "tyme ="))),
    Case("an endpoint without a URL", "run x.toml", endpoint()),
    Case("a URL without a scheme", "run x.toml", endpoint('url = "localhost:8000"')),
    Case("a misspelt option of an endpoint", "run x.toml", endpoint('ulr = "http://localhost:8000/v1"')),
    Case("a key whose variable is not set", "run x.toml", endpoint('url = "http://h/v1", api_key_env = "NO_SUCH_KEY"')),
    Case("a server's command without a port", "run x.toml", endpoint('server = "vllm serve {model}"')),
    Case("a server's command that does not end", "run x.toml", endpoint('server = "serve --port {port} \'x"')),
    Case("a certificate file that is not there", "run x.toml", endpoint('url = "https://h/v1", ca_file = "none.pem"')),
    Case("0 processes", f"{QUICK} --processes 0"),
    Case("a missing extra", "run -m smollm2-135m -t mmlu-letter", hidden, apart=True),
    Case(
        "a report without what draws its charts",
        "report x.db",
        both(finished, lambda folder: hidden(folder, "vl_convert")),
        apart=True,
    ),
    Case("a model file that is not there", "run -m none.gguf -t mmlu-letter"),
    Case("a truncated model file", "run -m cut.gguf -t mmlu-letter", truncated_model),
    Case("a file that is not a model", "run -m x.gguf -t mmlu-letter", file("x.gguf", "hello " * 100)),
    Case("an unknown model name", "run -m smollm2-135n -t mmlu-letter"),
    Case("a malformed model reference", "models pull pypi:somewhere"),
    Case("an unknown task", f"{QUICK} -t mmlu-leter"),
    Case("an unknown key in a task file", f"{QUICK} -t mine.toml", task_file(promt='"x"')),
    Case("a template that does not parse", f"{QUICK} -t mine.toml", task_file(turns='[{ prompt = "{{ prompt" }]')),
    Case(
        "a template with an unknown column",
        f"{QUICK} -t mine.toml -n 1",
        task_file(turns='[{ prompt = "{{ promt }}" }]'),
    ),
    Case(
        "a template that reaches into Python",
        f"{QUICK} -t mine.toml -n 1",
        task_file(turns="[{ prompt = '{{ prompt.__class__ }}' }]"),
    ),
    Case(
        "a template that calls",
        f"{QUICK} -t mine.toml -n 1",
        task_file(turns="""[{ prompt = '{{ "{0.real}".format(prompt) }}' }]"""),
    ),
    Case(
        "a template that loops without end",
        f"{QUICK} -t mine.toml -n 1",
        task_file(turns="[{ prompt = '{% for i in range(10**9) %}x{% endfor %}' }]"),
    ),
    Case(
        "a filter that is not for templates",
        f"{QUICK} -t mine.toml -n 1",
        task_file(turns="[{ prompt = '{{ prompt | attr(prompt) }}' }]"),
    ),
    Case(
        "a template that fails on an item",
        f"{QUICK} -t mine.toml -n 1",
        task_file(turns="[{ prompt = '{{ prompt }}' }, { prompt = '{{ prompt.then }}' }]"),
    ),
    Case("an unknown scorer", f"{QUICK} -t mine.toml", task_file(scorer='"leter"')),
    Case("a data file that is not there", f"{QUICK} -t mmlu-letter --data none.parquet"),
    Case("a missing column", f"{QUICK} -t mmlu-letter --data x.jsonl", file("x.jsonl", '{"query": "?"}\n')),
    Case("a task without a public data set", f"{QUICK} -t rewrite --data public"),
    Case(
        "an empty answer",
        f"{QUICK} -t qa-closed --data x.jsonl -n 1",
        file("x.jsonl", '{"question": "Who?", "answers": [" "]}\n'),
    ),
    Case("no answer", f"{QUICK} -t math --data x.csv -n 1", file("x.csv", "question,answer\nHow many?,3\nHow few?,\n")),
    Case(
        "an item that comes twice",
        f"{QUICK} -t math --data x.jsonl -n 1",
        file("x.jsonl", '{"question": "How many?", "answer": 3}\n' * 2),
    ),
    Case("empty data", f"{QUICK} --prompts x.jsonl", file("x.jsonl", "")),
    Case("a line that is not JSON", f"{QUICK} --prompts x.jsonl", file("x.jsonl", ROW + "{oops\n")),
    Case(
        "data that are not UTF-8", f"{QUICK} --prompts x.jsonl", file("x.jsonl", ROW.encode() + b'{"prompt": "\xff"}\n')
    ),
    Case(
        "CSV in UTF-16",
        f"{QUICK} -t math --data x.csv",
        file("x.csv", "question,answer\nHow many?,3\n".encode("utf-16")),
    ),
    Case("a task file in UTF-16", f"{QUICK} -t ./x.toml", file("x.toml", 'name = "x"\n'.encode("utf-16"))),
    Case("a damaged Parquet file", f"{QUICK} -t mmlu-letter --data x.parquet", file("x.parquet", "PAR1 nothing more")),
    Case("data of an unknown kind", f"{QUICK} -t mmlu-letter --data x.xlsx", file("x.xlsx", "?")),
    Case("a filter without matching rows", f"{QUICK} -t mmlu-letter --where subject=alchemy"),
    Case("more items than there are", f"{QUICK} --prompts x.jsonl -n 3", file("x.jsonl", ROW)),
    Case("an output that is a folder", f"{QUICK} -t mmlu-letter -o .", lambda _folder: None),
    Case("an output below a file", f"{QUICK} -t mmlu-letter -o x.txt/run.db", file("x.txt", "")),
    Case(
        "another program's SQLite file",
        f"{QUICK} -t mmlu-letter -o b.db",
        database("b.db", "CREATE TABLE bookmark (url)"),
    ),
    Case("a newer format version", "summary x.db", newer),
    Case(
        "a file that is not a run file",
        "summary x.txt",
        file("x.txt", "not a database, but long enough to look at " * 9),
    ),
    Case("a run file that is not there", "summary none.db"),
    Case("a folder for a run file", "summary runs", lambda folder: (folder / "runs").mkdir()),
    Case("an empty run file", "summary x.db", file("x.db", "")),
    Case("a damaged run file", "summary x.db", damaged),
    Case("a run file cut short", "summary x.db", cut_short),
    Case("another plan's run file", f"{QUICK} --prompts one.jsonl -n 1 --seed 5 -o x.db", finished),
    Case("a full disk", f"{QUICK} -t mmlu-letter -n 100 -o small/x.db", wrap=SMALL_DISK),
    Case("a budget on a full disk", f"{QUICK} -t mmlu-letter --budget 1h -o small/x.db", wrap=SMALL_DISK),
    Case("a limit on file sizes", f"{QUICK} -t mmlu-letter -n 100 -o x.db", wrap=SMALL_FILES),
    Case("an unknown trial", "show x.db ffffffff", finished),
    Case("an unknown system in a list", "show x.db --system simm", finished),
    Case("an unknown format", "summary x.db --format html5", finished),
    Case("an unknown task in a summary", "summary x.db --task mmlu-leter", finished),
    Case("a negative number of resamples", "summary x.db --resamples -1", finished),
    Case("resamples that are not a number", "compare x.db x.db --resamples many", finished),
    Case("a price of a system that is not there", "summary x.db --price simm=1/2", finished),
    Case("a system without a price", "summary x.db --price sim", finished),
    Case("an invalid price", "summary x.db --price sim=cheap", finished),
    Case("a model that the catalogue does not have", "summary x.db --price sim=openai/gpt4o-mini", finished),
    Case("a provider that the catalogue does not have", "compare x.db x.db --price sim=opnai/gpt-4o", finished),
    Case("a price per request", "report x.db --price sim=perplexity/sonar", finished),
    Case(
        "a price without the catalogue",
        "run x.toml",
        both(priced('"openai/gpt-4o-mini"'), lambda folder: hidden(folder, "genai_prices")),
        apart=True,
    ),
    Case(
        "many machines without Ray",
        "run x.toml --ray",
        both(file("x.toml", SYSTEM), lambda folder: hidden(folder, "ray")),
        apart=True,
    ),
    Case("an address that is none", "run x.toml --ray head", file("x.toml", SYSTEM)),
    Case("no cluster at the address", "run x.toml --ray 127.0.0.1:1", file("x.toml", SYSTEM)),
    Case("a load on many machines", f"{QUICK} -t mmlu-letter -s concurrency=4 --ray"),
    Case("a time budget for static batches", f"{QUICK} -t mmlu-letter -s batch=4 --budget 1m"),
    Case("a time budget for arrivals at a rate", f"{QUICK} -t mmlu-letter -s rate=2 --budget 1m"),
    Case("a time budget on many machines", f"{QUICK} -t mmlu-letter --budget 1m --ray"),
    Case("an order without pairs on many machines", f"{QUICK} -t mmlu-letter --order sequential --ray"),
    Case("a resource that is none", "run x.toml", file("x.toml", "resources = { GPU = -1 }\n" + SYSTEM)),
    Case("a negative price on the command line", "summary x.db --price sim=1/-2", finished),
    Case("a negative price", "run x.toml", priced("{ input = -1, output = 2 }")),
    Case("an unknown key in a price", "run x.toml", priced("{ inptu = 1, output = 2 }")),
    Case("a price for output alone", "run x.toml", priced("{ output = 2 }")),
    Case("two prices in one", "run x.toml", priced("{ input = 1, output = 2, per_hour = 3 }")),
    Case("a price of another type", "run x.toml", priced("3")),
    Case(
        "an unknown key in a file of prices",
        "summary x.db --price p.toml",
        both(finished, file("p.toml", "sim = { per_huor = 1 }\n")),
    ),
    Case("a file of prices that is not there", "summary x.db --price p.toml", finished),
    Case(
        "a condition on a cost without a price",
        'compare x.db x.db --fail-if "cost_per_correct > 5%"',
        recorded("x.db", rows=TWELVE),
    ),
    Case("nothing to compare with", "compare x.db", finished),
    Case("a run to compare with that is not there", "compare x.db none.db", finished),
    Case("one system of a run to compare", "compare x.db sim", finished),
    Case("an unknown system to compare", "compare x.db sim simm", finished),
    Case("a colon without a system", "compare x.db: x.db", finished),
    Case("a system named twice over", "compare x.db:sim sim sim", finished),
    Case(
        "two runs without a system in common",
        "compare x.db y.db",
        both(recorded("x.db", "a", "b"), recorded("y.db", "c", "d")),
    ),
    Case(
        "two runs without an item in common",
        "compare x.db y.db",
        both(recorded("x.db"), recorded("y.db", rows=TWELVE)),
    ),
    Case("--run without --until", "compare x.db --run x.toml", finished),
    Case("a gate without a condition", "compare x.db --run x.toml --until decided", finished),
    Case("a gate without --run", 'compare x.db x.db --until decided --fail-if "task_time > 5%"', finished),
    Case("two run files and --run", f"compare x.db x.db --run x.toml {GATE}", finished),
    Case("a run file for --run", f"compare x.db --run x.db {GATE}", finished),
    Case("an experiment that is not there", f"compare x.db --run none.toml {GATE}", finished),
    Case(
        "a gate on an unsupported measure",
        'compare x.db --run x.toml --until decided --fail-if "output_bytes > 5%"',
        finished,
    ),
    Case("an accuracy condition without right answers", f"compare x.db --run x.toml {GATE_OF_ACCURACY}", gated),
    Case("a system that a baseline lacks", f"compare x.db:b --run x.toml {GATE}", gated),
    Case("a baseline of other systems", f"compare x.db --run y.toml {GATE}", both(gated, file("y.toml", TWO))),
    Case("a baseline without the task", f"compare x.db --run y.toml {GATE}", both(gated, file("y.toml", SYSTEM))),
    Case(
        "a gate with repeats",
        f"compare x.db --run y.toml {GATE}",
        both(gated, file("y.toml", "repeats = 2\n" + SYSTEM)),
    ),
    Case("a gate on a run without a gate", f"compare x.db --run x.toml {GATE} -o x.db", gated),
    Case("a gate with an invalid budget", f"compare x.db --run x.toml {GATE} --budget soon", gated),
    Case("a gate with 0 items", f"compare x.db --run x.toml {GATE} --max-items 0", gated),
    Case("no speed given", "whatif x.db", finished),
    Case("half a speed", "whatif x.db --ttft 0.3", finished),
    Case("a speed of 0", "whatif x.db --ttft 0.3 --tokens-per-s 0", finished),
    Case("a speed for an unknown system", "whatif x.db --ttft 1 --tokens-per-s 9 --system simm", finished),
    Case("a speed from a missing file", "whatif x.db --speed-of none.db", finished),
    Case("a speed from too few answers", "whatif x.db --speed-of x.db", finished),
    Case("a speed from unknown JSON", "whatif x.db --speed-of x.json", both(finished, file("x.json", '{"a": 1}'))),
    Case("a speed from a binary file", "whatif x.db --speed-of x.bin", both(finished, file("x.bin", b"\xff\xfe\x00"))),
    Case("a malformed condition", 'compare x.db x.db --fail-if "task_time 5"', finished),
    Case("a condition on an unknown measure", 'compare x.db x.db --fail-if "tasktime > 5%"', finished),
    Case("a condition with the wrong sign", 'compare x.db x.db --fail-if "task_time > -5%"', finished),
    Case("a condition on what is INVALID", 'compare x.db x.db --fail-if "task_time > 5%"', recorded("x.db")),
    Case(
        "a condition on what is not known",
        'compare x.db x.db --fail-if "accuracy < -3%"',
        recorded("x.db", rows=TWELVE),
    ),
    Case("an export without a kind", "export x.db", finished),
    Case("an unknown kind of export", "export x.db --to xlsx", finished),
    Case("an export of a file that is not a run", "export one.jsonl --to csv", finished),
    Case("an export that exists", "export x.db --to csv", both(finished, file("x.csv", "mine"))),
    Case("an export onto a run", "export x.db --to csv -o x.db --force", finished),
    Case("an export that is a folder", "export x.db --to csv -o .", finished),
    Case("an export into a folder that is not there", "export x.db --to csv -o none/x.csv", finished),
    Case("an export where nothing can be written", "export x.db --to csv -o fixed/x.csv", finished, READ_ONLY),
    Case("a kind's flag for another kind", "export x.db --to csv --organization us", finished),
    Case("a log of an unknown kind", "import x.txt -o y.db", file("x.txt", "hello\n")),
    Case("a log that was saved as UTF-16", "import x.json -o y.db", file("x.json", '{"a": 1}'.encode("utf-16"))),
    Case("a log that is a run file already", "import x.db -o y.db", finished),
    Case("a log that is a pickle", "import x.pkl -o y.db", file("x.pkl", b"\x80\x04N.")),
    Case("a log that is cut", "import x.eval -o y.db", file("x.eval", b"PK\x03\x04" + bytes(40))),
    Case("a log of an unknown format", "import x.txt --from inspekt -o y.db", file("x.txt", "hello\n")),
    Case("a log of another tool", "import x.db --from evalscope-perf -o y.db", finished),
    Case("no judge", "judge x.db", finished),
    Case("a judge's file and flags at once", "judge x.db j.toml -m sim", both(finished, file("j.toml", JUDGE))),
    Case("an unknown key of a judge", "judge x.db j.toml", both(finished, file("j.toml", "rubrik = 'x'\n" + JUDGE))),
    Case("a judge that is a list", "judge x.db j.toml", both(finished, file("j.toml", f"[{JUDGE.replace(']', ']]')}"))),
    Case("a judge's file without a judge", "judge x.db j.toml", both(finished, file("j.toml", "pairs = true\n"))),
    Case("an empty rubric", "judge x.db j.toml", both(finished, file("j.toml", "rubric = ' '\n" + JUDGE))),
    Case(
        "an empty rubric for pairs", "judge x.db j.toml", both(finished, file("j.toml", "rubric_pairs = ''\n" + JUDGE))
    ),
    Case("a judge with 0 in flight", "judge x.db j.toml", both(finished, file("j.toml", "concurrency = 0\n" + JUDGE))),
    Case(
        "a judge with -4 in flight", "judge x.db j.toml", both(finished, file("j.toml", "concurrency = -4\n" + JUDGE))
    ),
    Case(
        "a judge with 5000 in flight",
        "judge x.db j.toml",
        both(finished, file("j.toml", "concurrency = 5000\n" + JUDGE)),
    ),
    Case("a judge with timeout 0", "judge x.db j.toml", both(finished, file("j.toml", "timeout = 0\n" + JUDGE))),
    Case("a judge with an unknown engine", "judge x.db -m x --engine lamacpp", finished),
    Case("a run to judge that is not there", "judge none.db -m sim --engine simulated"),
    Case("a run without an answer to judge", "judge x.db -m sim --engine simulated", recorded_failures),
    Case("judging into the judged run", "judge x.db -m sim --engine simulated -o x.db", finished),
    Case("judging with another judge in the same file", "judge x.db j.toml", both(judged, file("j.toml", JUDGE))),
    Case("a report with a judge of another run", "report y.db --judge x.judge.db", both(judged, recorded("y.db"))),
    Case("a report with a run in place of a judge", "report x.db --judge x.db", finished),
    Case("binary data on standard output", "export x.db --to parquet -o -", finished),
]


MARKS = {
    "a truncated model file": pytest.mark.real_model,
    "a full disk": pytest.mark.slow,
    "a budget on a full disk": pytest.mark.slow,
    "a limit on file sizes": pytest.mark.slow,
}


def outcome(case: Case, folder: Path) -> tuple[int, str]:
    """Exit code and what was printed on standard error, with the folder's own name taken out."""
    case.prepare(folder)
    arguments = shlex.split(case.command)
    if case.wrap or case.apart:
        searched = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
        done = run_apart(folder, *arguments, wrap=case.wrap, PYTHONPATH=searched)
    else:
        done = run_here(folder, *arguments)
    said = done.stderr.replace(str(folder.resolve()) + "/", "").replace(str(folder) + "/", "")
    return done.returncode, said.replace(sys.executable, "python")


def page_row(case: Case, said: str) -> str:
    last = said.strip().splitlines()[-1].replace("|", "\\|")
    # A sign of HTML becomes code, unless it is in code already.
    shown = re.sub(r"`[^`]*`|[<>]", lambda found: found[0] if len(found[0]) > 1 else f"`{found[0]}`", last)
    return f"| {case.what} | `taskpace {case.command}` | {shown} |"


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.what.replace(" ", "-"),
            marks=MARKS.get(case.what, ()),
        )
        for case in CASES
    ],
)
def test_bad_input_is_one_line_with_a_remedy(case, tmp_path):
    """Exit code 2, one line that is the one in the docs, no traceback."""
    code, said = outcome(case, tmp_path)
    assert "Traceback" not in said
    assert code == case.code, said
    complaints = [line for line in said.splitlines() if line.startswith("taskpace: ")]
    assert len(complaints) == 1, said
    assert page_row(case, said) in PAGE.read_text("utf-8").splitlines()


def test_the_page_has_no_other_rows():
    """Every row of the table in the docs is one of the cases."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) == len(CASES) + 2 >= 22


NAMES = re.compile(
    r"(?:^|[\s'`(\"])"
    r"(?:[\w./-]+\.(?:toml|db|jsonl|json|txt|gguf|csv|parquet|xlsx|eval|pkl|bin)\b"  # a file
    r"|--?[a-z][a-z-]*|flags:"  # a flag, or some of the quick form
    r"|starter:)"
)
NOBODYS_FAULT = re.compile(r"which is not installed|\(see `taskpace [a-z ]*--help`\)$")
"""What is missing on the machine is in no file, and what is missing on the command line has no name yet."""


@pytest.mark.parametrize("row", [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][2:])
def test_bad_input_names_where_it_is(row):
    """Every message names a file, a flag or an argument of the command, as the page says."""
    _, command, said = row.split(" | ", 2)
    said = said.removeprefix("taskpace: ").removesuffix(" |")
    given = {Path(word).stem for word in command.strip("`").split()[2:]}
    words = {word.rstrip(":") for word in re.findall(r"[\w:./-]+", said)}
    assert NAMES.search(said) or given & words or NOBODYS_FAULT.search(said), said


def main() -> None:
    """Rewrite the page from what is really printed."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(page_row(case, outcome(case, Path(folder))[1]))
    PAGE.write_text(
        "# Bad input\n\n"
        "Bad input is reported in one line that names the file, the key or the flag, and what to do. The exit code\n"
        "is 2, and recorded answers are kept. Every row is a test (`tests/test_bad_inputs.py`).\n\n"
        "A prompt that does not fit the context is a result and not bad input: it is recorded as an `error` of the\n"
        "kind `context-overflow`, and the run continues.\n\n"
        "| what | command | what it prints |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n",
        "utf-8",
    )


if __name__ == "__main__":
    main()
