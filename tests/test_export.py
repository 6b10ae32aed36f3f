"""``taskpace export``: every attempt in a file that other programs read, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.in_process import workers_here

import taskpace
from taskpace.errors import TaskpaceError
from taskpace.experiment.prepare import prepare
from taskpace.records import Failure
from taskpace.report.files.export import check_target, render, write
from taskpace.store.store import Store
from taskpace.text.safe_text import printable

HOSTILE = '=1+1 \x00 \x1b[31m \x9b \u202e \r\n "quoted", a\'b | \U000e0041 日本'


@pytest.fixture
@workers_here()
def run_file(tmp_path: Path, simulated: Callable) -> Path:
    """x.db: six trials, the first of them with a second attempt that failed and left hostile text."""
    path = tmp_path / "x.db"
    plan = prepare(simulated(items=6, models=("=sim",)), Path())
    with taskpace.run(plan, path) as done:
        ((record, grade),) = done.trial(done.frame()["trial_id"][0])
        ((cell_id,),) = done.store.query("SELECT id FROM cell")[1]
    failed = msgspec.structs.replace(
        record, attempt=2, turns=(), failure=Failure(kind="engine", message=HOSTILE), loop_lag_ns=None
    )
    with Store.create_or_continue(path, plan, "0") as store:
        store.add(failed, msgspec.structs.replace(grade, outcome="error", answer=None, detail=HOSTILE), cell_id, None)
    return path


@pytest.fixture
def frame(run_file: Path) -> pl.DataFrame:
    """What ``Run.frame`` gives of it."""
    with taskpace.open(run_file) as run:
        return run.frame()


def test_every_attempt_is_a_row(cli, run_file, frame):
    """Six trials, one with two attempts: seven rows in each kind of file, named after the run, and told so."""
    for kind in ("parquet", "csv", "jsonl"):
        done = cli("export", "x.db", "--to", kind)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"7 attempts are in x.{kind}\n", "")
        assert run_file.with_name(f"x.{kind}").exists()
    assert frame["attempt"].to_list() == [1, 2, 1, 1, 1, 1, 1]


def test_parquet_is_the_frame(cli, run_file, frame):
    """Parquet holds the columns, types and values of ``Run.frame``, hostile text included."""
    cli("export", "x.db", "--to", "parquet")
    assert_frame_equal(pl.read_parquet(run_file.with_name("x.parquet")), frame, check_exact=True)
    assert HOSTILE in frame["failure_message"].to_list()


def test_json_lines_are_the_frame(cli, frame):
    """One object a line with every column, exact numbers and texts; nothing in it acts on a terminal."""
    text = cli("export", "x.db", "--to", "jsonl", "-o", "-").stdout
    lines = text.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == frame.to_dicts()
    assert printable(text) == text


def test_csv_is_the_frame_for_spreadsheets(run_file, frame):
    """Numbers come back exactly, unknown is empty; text that would run as a formula has a ``'`` in front."""
    text = b"".join(render(frame, "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == frame.height
    for row, values in zip(rows, frame.iter_rows(named=True), strict=True):
        assert list(row) == frame.columns
        for name, value in values.items():
            if isinstance(value, str):
                assert row[name] == ("'" if value.startswith("=") else "") + printable(value)
            elif isinstance(value, bool):
                assert row[name] == str(value).lower()
            else:
                assert row[name] == ("" if value is None else repr(value))
    assert rows[0]["system"] == "'=sim"
    assert rows[1]["failure_message"].startswith("'=1+1 \\x00 \\x1b[31m")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_run_without_trials_is_a_table_without_rows(cli, tmp_path, simulated, kind):
    """A run that has recorded nothing yet can be exported: the columns are there."""
    Store.create_or_continue(tmp_path / "empty.db", prepare(simulated(), Path()), "0").close()
    assert cli("export", "empty.db", "--to", kind).returncode == 0
    path = tmp_path / f"empty.{kind}"
    if kind == "parquet":
        assert "task_time_s" in pl.read_parquet(path).columns
    else:
        assert ("task_time_s" in path.read_text()) == (kind == "csv")


@pytest.mark.slow
def test_many_rows_come_in_order(frame):
    """More rows than are made into text at a time: all there, in their order, under one header."""
    many = pl.concat([frame] * 3000).with_row_index("row")
    text = b"".join(render(many, "csv")).decode()
    assert [int(row["row"]) for row in csv.DictReader(io.StringIO(text, newline=""))] == list(range(21_000))
    lines = b"".join(render(many, "jsonl")).decode().splitlines()
    assert [json.loads(line)["row"] for line in lines] == list(range(21_000))


def test_nothing_is_overwritten_without_force(cli, run_file):
    """A file that exists is kept and named, and ``--force`` replaces it."""
    target = run_file.with_name("x.csv")
    target.write_text("mine")
    refused = cli("export", "x.db", "--to", "csv")
    assert refused.returncode == 2
    assert refused.stderr == "taskpace: x.csv: exists already: give --force to overwrite it, or choose another -o\n"
    assert target.read_text() == "mine"
    assert cli("export", "x.db", "--to", "csv", "--force").returncode == 0
    assert target.read_text().startswith("system,")


def test_a_run_is_never_overwritten(cli, run_file):
    """Not even with ``--force`` does an export take the place of a run file, be it named by a link."""
    before = run_file.read_bytes()
    run_file.with_name("link.csv").symlink_to("x.db")
    for name in ("x.db", "link.csv"):
        refused = cli("export", "x.db", "--to", "csv", "-o", name, "--force")
        assert refused.returncode == 2
        assert "this is an SQLite file, perhaps a run" in refused.stderr
    assert run_file.read_bytes() == before


def test_a_link_is_written_through(tmp_path):
    """A link that is named as output stays a link; the file that it points to is written."""
    (tmp_path / "link").symlink_to("there.csv")
    write(tmp_path / "link", [b"content"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there.csv").read_bytes() == b"content"


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, problem):
    """When writing fails or is interrupted half-way, what was there is whole, and nothing else lies beside it."""
    target = tmp_path / "x.csv"
    target.write_bytes(b"old")

    def parts() -> Iterator[bytes]:
        yield b"new"
        raise problem

    expected = TaskpaceError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write(target, parts())
    if isinstance(problem, OSError):
        assert str(caught.value) == f"{target}: cannot be written: No space left on device: choose another -o"
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    """While parts are still coming, no file of that name is there, and its neighbour is in the same folder."""
    target = tmp_path / "x.csv"
    seen = []

    def parts() -> Iterator[bytes]:
        yield b"one"
        seen.extend(path.name for path in tmp_path.iterdir())
        yield b"two"

    write(target, parts())
    assert target.read_bytes() == b"onetwo"
    assert "x.csv" not in seen
    assert len(seen) == 1


def test_the_file_has_usual_permissions(tmp_path):
    """The file may be read by whom the umask lets read, not by its writer alone as a temporary file."""
    (tmp_path / "plain").touch()
    write(tmp_path / "x.csv", [b""])
    assert stat.S_IMODE((tmp_path / "x.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (".", "this is a folder: give -o a file name"),
        ("none/x.csv", "folder none not found: make it"),
        ("pipe", "this is not a regular file"),
        ("x" * 300, "cannot be written: File name too long"),
    ],
)
def test_targets_that_will_not_do(tmp_path, monkeypatch, name, words):
    """A folder, a missing folder, a pipe, a name too long: each is refused in words, force or not."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")

    def export(force: bool) -> None:
        check_target(Path(name), force=force)
        write(Path(name), [b""])

    for force in (False, True):
        with pytest.raises(TaskpaceError) as refused:
            export(force)
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)


def test_parquet_does_not_go_to_standard_output(cli, run_file):
    """Binary data into a terminal is useless: it is refused, and says to name a file."""
    refused = cli("export", run_file.name, "--to", "parquet", "-o", "-")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "give -o a file name" in refused.stderr


def test_a_run_file_of_another_ending_gets_the_new_one_behind_it(cli, run_file):
    """Only ``.db`` is taken off: runs that differ in the rest of their names have exports that differ."""
    run_file.rename(run_file.with_name("v1.2"))
    assert cli("export", "v1.2", "--to", "jsonl").stdout == "7 attempts are in v1.2.jsonl\n"
