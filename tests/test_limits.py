"""Limits on what people write and pass: size and nesting of TOML, numbers, lengths of names and paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from taskpace.errors import TaskError
from taskpace.text.bounded import MOST_NESTED, JsonProblem, decode_json, leaves, nested_too_deep
from taskpace.text.strict import read_text, read_toml

SYSTEM = '[[system]]\nname = "a"\nmodel = "m"\nengine = "simulated"\n'
LONG = "a" * 5000


class Anything(msgspec.Struct):
    a: Any = None


def toml(folder: Path, text: str) -> str:
    """What is said of a TOML file, in one line; empty: it was read."""
    path = folder / "x.toml"
    path.write_text(text, "utf-8")
    try:
        read_toml(path, Anything, TaskError)
    except TaskError as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 2000, "levels deep"),
        ("a = " + "[" * 2000 + "]" * 2000, "levels deep"),
        ("a = " + "{ b = " * 300 + "1" + " }" * 300, "levels deep"),
        ("a = " + "[" * 100 + "]" * 100, "levels deep"),
        ("x = 1\na" + ".b" * 3000 + " = 1", "line 2: a key of more than 64 parts"),
        ('a."b"' + " . 'c'" * 3000 + " = 1", "line 1: a key of more than 64 parts"),
        ("[a" + ".b" * 100 + "]", "line 1: a key of more than 64 parts"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("a = 0x" + "f" * 5000, 'key "a": a whole number of more than 4096 bits'),
        ("a = [[1, 0x" + "f" * 5000 + "]]", 'key "a": a whole number'),
        ("#" + "a" * 1_000_001, "has more than 1,000,000 bytes"),
    ],
)
def test_toml_without_measure_is_refused_in_one_line(tmp_path, text, says):
    """Before Python's reader takes time with the square of a key's parts, and without a traceback where it recurses."""
    said = toml(tmp_path, text)
    assert said.startswith(f"{tmp_path / 'x.toml'}: ")
    assert says in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 60 + "]" * 60,
        "a" + ".b" * 60 + " = 1",
        "\ufeffa = 1",
        "a = '" + "a." * 63 + "'",
        "a = '''\n" + "one.two three. four . five\n" * 5000 + "'''",
        "a = '" + "x" * 900_000 + "'",
    ],
)
def test_toml_within_bounds_is_read(tmp_path, text):
    """Long texts, many full stops in prose, nesting that somebody might write, the mark of some editors."""
    assert toml(tmp_path, text) == ""


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no endless file")
def test_an_endless_file_is_given_up():
    """No more is read than a file may have."""
    with pytest.raises(TaskError, match="has more than 1,000,000 bytes"):
        read_toml(Path("/dev/zero"), Anything, TaskError)


@given(st.integers(0, 3 * MOST_NESTED), st.sampled_from(["list", "table", "tuple"]))
def test_nesting_is_counted_level_by_level(levels, kind):
    """A value of so many levels is too deep from one more than the limit on."""
    value: Any = 1
    for _ in range(levels):
        value = [1, value] if kind == "list" else {"a": value, "b": 2} if kind == "table" else (value,)
    assert nested_too_deep(value) == (levels > MOST_NESTED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=8,
)


@given(JSON)
def test_json_within_bounds_is_what_it_was(value):
    """Any value comes back, and its leaves are its values without tables and lists."""
    assert decode_json(json.dumps(value)) == value
    assert not any(isinstance(leaf, dict | list) for leaf in leaves(value))


def as_python_writes(value: Any) -> str:
    """With NaN for no value, as a data frame has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_python_writes, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(name)}: {as_python_writes(part)}' for name, part in value.items())}}}"
    return "NaN" if value is None else json.dumps(value)


@given(
    st.recursive(
        st.none() | st.integers(0, 9) | st.text('NaN"\\\U0001f600 ', max_size=8),
        lambda part: st.lists(part) | st.dictionaries(st.text('NaN"\\', max_size=5), part),
        max_leaves=8,
    )
)
def test_nan_is_no_value_and_in_a_text_it_is_text(value):
    """As json.dumps and pandas write it, in a text of any quotation marks and backslashes."""
    assert decode_json(as_python_writes(value)) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r'{"a": "\ud83d"}', r"JSON with half a character (\ud83d, a lone surrogate)"),
        (r'{"a": "\uDE00 x"}', r"JSON with half a character (\uDE00, a lone surrogate)"),
        (r'{"a": "\ud83d\u0041"}', r"JSON with half a character (\ud83d, a lone surrogate)"),
        (r'{"a": "\ud83d\ude00", "b": NaN, c}', "not JSON (JSON is malformed: object keys must be strings)"),
        (r'{"a": "\\ud83d", "b": ', "not JSON (Input data was truncated)"),
        ('{"a": "NaN', "not JSON (Input data was truncated)"),
        ('{"a": NaNs}', "not JSON (JSON is malformed: expected ',' or '}')"),
        ('{"a": -Infinity}', "not JSON (Infinity is not a number in it)"),
        ('"' + r"\"" * 200_000 + "NaN", "not JSON (Input data was truncated)"),
    ],
    ids="abcdefghi",
)
def test_what_is_wrong_with_json_is_said(text, says):
    """Half an emoji is not called a truncated file, nor NaN what stands beside it; in time linear in the text."""
    with pytest.raises(JsonProblem) as caught:
        decode_json(text)
    assert str(caught.value) == says


@given(st.text() | st.text('[]{}",:01e.-\\u ', max_size=30))
def test_any_text_is_json_or_has_one_problem(text):
    """No other error comes out."""
    try:
        decode_json(text)
    except JsonProblem as exc:
        assert "\n" not in str(exc)  # noqa: PT017 - most texts raise it


@pytest.mark.parametrize("name", ["x\0.toml", LONG, "x" * 300 + "/y.toml"])
def test_a_file_that_cannot_be_is_named_shortly(tmp_path, name):
    """The message does not repeat a path of any length."""
    with pytest.raises(TaskError, match="cannot be read") as caught:
        read_text(tmp_path / name, TaskError)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'name = "{LONG}"\n{SYSTEM}', 'x.toml: key "name": '),
        ('name = "' + "é" * 150 + f'"\n{SYSTEM}', "200 bytes at most"),
        (SYSTEM.replace('"a"', f'"{LONG}"'), 'a system\'s "name" has more than 500 characters'),
        (f'tasks = ["{LONG}.toml"]\n{SYSTEM}', "cannot be read"),
        (f'tasks = ["{LONG}"]\n{SYSTEM}', "unknown task"),
        (f'tasks = [{{ use = "mmlu-letter", data = "{LONG}.csv" }}]\n{SYSTEM}', "cannot be read"),
        ('tasks = [{ use = "mmlu-letter", data = "x\\u0000.csv" }]\n' + SYSTEM, "data file not found"),
        (f'tasks = [{{ prompts = "{LONG}.txt" }}]\n{SYSTEM}', "cannot be read"),
    ],
)
def test_names_and_paths_of_an_experiment_have_lengths_that_can_be(cli, tmp_path, text, says):
    """One line, exit code 2; what names a file is short enough to be one."""
    (tmp_path / "x.toml").write_text(text, "utf-8")
    done = cli("plan", "x.toml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", f"{LONG}.toml"),
        ("plan", LONG),
        ("summary", f"{LONG}.db"),
        ("run", "-m", "sim", "--engine", "simulated", "-n", "1", "-o", f"{LONG}.db"),
        ("plan", "-m", f"{LONG}/m", "--engine", "simulated", "-t", "mmlu-letter", "--data", f"{LONG}.jsonl"),
    ],
)
def test_a_path_on_the_command_line_that_no_file_can_have_is_one_line(cli, arguments):
    """Whichever command and argument it is, and whoever looks at it first."""
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 1000


def test_a_tasks_name_and_numbers_have_limits(cli, tmp_path):
    """The key is named."""
    task = 'name = "{name}"\nversion = {version}\ndescription = "d"\nmax_tokens = 9\n[data]\nsource = "starter:math"\n'
    task += '[[turns]]\nprompt = "{{{{ question }}}}"\n'
    for name, version, says in (
        (LONG, 1, 'key "name": has more than 500'),
        ("a", 10**30, 'key "version": a whole number'),
    ):
        (tmp_path / "t.toml").write_text(task.format(name=name, version=version), "utf-8")
        done = cli("plan", "-m", "sim", "--engine", "simulated", "-t", "t.toml")
        assert done.returncode == 2
        assert says in done.stderr


LEAVES_OUT = """
name = "mine"
version = 1
description = "d"
max_tokens = 9
[data]
source = "rows.jsonl"
leave_out = true
[[turns]]
prompt = "{{ word }}"
"""


@pytest.mark.parametrize("progress", ["quiet", "plain", "json"])
def test_rows_left_out_are_said_by_plan_run_and_summary(cli, tmp_path, progress):
    """How many of how many, and what is wrong with the first; also where nothing else is printed."""
    (tmp_path / "t.toml").write_text(LEAVES_OUT, "utf-8")
    rows = [{"word": f"w{n}" if n % 4 else None} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    flags = ("-m", "sim", "--engine", "simulated", "-t", "t.toml", "-n", "4")
    said = "mine: 2 of 8 rows of the data cannot be used and were left out; the first: row 1, column"
    assert said in cli("plan", *flags, columns=200).stdout
    assert said in cli("run", *flags, "-o", "a.db", "--progress", progress).stderr
    summary = json.loads(cli("summary", "a.db", "--format", "json", "--resamples", "0").stdout)
    (finding,) = [each for each in summary["tables"][0]["findings"] if each["code"] == "left-out"]
    assert finding["evidence"] == {"rows": 2, "of": 8}
    assert finding["text"] == "2 of 8 rows of the data were left out: the task cannot use them"
    assert (
        "2 of 8 rows of the data were left out"
        in cli("summary", "a.db", "--full", "--resamples", "0", columns=200).stdout
    )


def test_a_run_is_the_same_whatever_was_left_out(cli, tmp_path):
    """Rows that are not asked do not matter: the run continues when they have been taken out of the file."""
    (tmp_path / "t.toml").write_text(LEAVES_OUT, "utf-8")
    flags = ("-m", "sim", "--engine", "simulated", "-t", "t.toml", "-n", "2", "-o", "a.db", "--progress", "quiet")
    (tmp_path / "rows.jsonl").write_text('{"word": "a"}\n{"word": null}\n{"word": "b"}\n', "utf-8")
    assert cli("run", *flags).returncode == 0
    (tmp_path / "rows.jsonl").write_text('{"word": "a"}\n{"word": "b"}\n', "utf-8")
    done = cli("run", *flags)
    assert (done.returncode, done.stderr) == (0, "")
