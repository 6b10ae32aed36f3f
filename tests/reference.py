"""The reference pages that are rendered from the code: command line, keys of files, run file, Python interface.

Write them with `python -m tests.reference`; tests/test_reference.py compares them with the code.
"""

from __future__ import annotations

import ast
import html
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import click
import msgspec
from msgspec import inspect as shapes

import taskpace
from taskpace import records
from taskpace.cli import cli
from taskpace.cli.run import run
from taskpace.engines import base as engine, simulated
from taskpace.engines.base import Sampling
from taskpace.engines.llamacpp import load as llamacpp
from taskpace.engines.openai import options as openai
from taskpace.engines.transformers import load as transformers
from taskpace.experiment import experiment
from taskpace.experiment.scenario import Scenario, ScenarioSweep
from taskpace.importing import base as importer, logs, values
from taskpace.importing.source import Source
from taskpace.judge import settings as judge
from taskpace.prices.price import Price
from taskpace.tasks import task
from taskpace.tasks.extractors import EXTRACTIONS, base as extractor
from taskpace.tasks.scorers import SCORERS, base as scorer

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
REMEDY = "run `python -m tests.reference`"
Struct = type[msgspec.Struct]

SECTIONS: tuple[tuple[str, str, Struct], ...] = (
    ("Experiment file", "The top level of an experiment file.", experiment._File),
    ("`[[system]]`", "One table for each system, or for each family of systems with `sweep`.", experiment._SystemTable),
    (
        "Table in `tasks`",
        '`tasks` lists names, paths and tables: `tasks = ["mmlu-letter", { use = "math", items = 10 }]`.',
        experiment.TaskUse,
    ),
    (
        "Table in `scenarios`",
        '`scenarios` lists names and tables: `scenarios = ["single", { concurrency = [4, 16] }]`.',
        ScenarioSweep,
    ),
    ("Table `price`", "US dollars ([cost](../cost.md)).", Price),
    ("Options of `llamacpp`", "The table `options` of a system with this engine.", llamacpp.Options),
    (
        "Options of `openai`",
        "The table `options` of a system with this engine ([endpoints](../endpoints.md)).",
        openai.Options,
    ),
    (
        "Options of `transformers`",
        "The table `options` of a system with this engine ([transformers](../transformers.md)).",
        transformers.Options,
    ),
    ("Options of `simulated`", "The table `options` of a system with this engine.", simulated.Options),
    ("Distribution", "A number of `simulated` that varies from trial to trial.", simulated.Distribution),
    ("Fault", "An entry of `faults` of `simulated`: an error in a share of the trials.", simulated.Fault),
    ("Judge file", "The file of `taskpace judge` ([judge](../judge.md)).", judge._File),
    ("`[judge]`", "The system that grades.", judge._JudgeTable),
    ("Task file", "One task ([tasks](../tasks.md)).", task.Task),
    ("`[data]` and `[public]`", "The data of a task file.", task.DataSource),
    ("`[[turns]]`", "One message of the user.", task.TurnTemplate),
)
"""Heading, introduction, and the struct that reads the table."""

MEANINGS: dict[str, dict[str, str]] = {
    "Experiment file": {
        "system": "The systems to compare.",
        "suite": "A shipped suite, such as `core-1`, in place of `tasks` ([suite](../suite.md)).",
        "name": "Name of the experiment and of its run file; else the name of the file.",
        "tasks": "Tasks: names (`taskpace list tasks`), paths of task files, or tables. "
        "Else the three MMLU tasks of the paper.",
        "scenarios": "How requests are issued: `single`, `concurrency=N`, `rate=R`, `batch=N`, or tables.",
    },
    "`[[system]]`": {
        "name": "Name in every output.",
        "model": "A catalogue name (`taskpace list models`), a path, `hf:owner/repo/file.gguf`, "
        "`pypi:package==version/path`, or what the engine calls a model.",
        "engine": "`llamacpp`, `openai`, `transformers`, `simulated`, or a plug-in's (`taskpace list engines`).",
        "system_prompt": "System prompt of every conversation.",
        "temperature": "Sampling temperature; 0 takes the most likely token.",
        "price": "A name of the price catalogue, or a table.",
        "options": "The engine's own options.",
        "resources": "What a node of a cluster reserves for the system, by Ray's names ([cluster](../cluster.md)).",
        "sweep": "Lists of values by key, or by `options.KEY`: one system for each combination.",
    },
    "Table in `tasks`": {
        "items": "Items of this task, in place of the experiment's.",
        "max_tokens": "Output token limit of this task.",
    },
    "Table in `scenarios`": {
        "batch": "Static batches of these sizes.",
        "concurrency": "Closed loops with these many requests in flight.",
        "rate": "Open loops with these arrivals per second.",
    },
    "Options of `simulated`": {
        "time": "`virtual`: nothing is waited for.",
        "seed": "Seed of what is drawn.",
        "tokens_per_byte": "Tokens for each byte of output.",
        "prompt_tokens_per_byte": "Tokens for each byte of the prompt.",
        "faults": "What goes wrong.",
    },
    "Distribution": {"kind": "Its family.", "low": "Least value of `uniform`.", "high": "Greatest value of `uniform`."},
    "Fault": {
        "kind": "What happens.",
        "rate": "Share of the trials.",
        "after_tokens": "Tokens that are written before it happens.",
    },
    "Judge file": {
        "judge": "The system that grades.",
        "rubric": "What it is told for verdicts. Null: a general rubric.",
        "rubric_pairs": "What it is told for comparisons. Null: a general rubric.",
        "concurrency": "Questions in flight.",
        "retries": "Attempts after a passing failure.",
        "timeout": "Seconds that a reply may take.",
    },
    "`[judge]`": {
        "name": "Name in every output.",
        "model": "As in `[[system]]`.",
        "engine": "As in `[[system]]`.",
        "system_prompt": "System prompt of every question.",
        "temperature": "Sampling temperature.",
        "top_p": "Nucleus sampling.",
        "options": "The engine's own options.",
    },
    "Task file": {
        "name": "Name of the task.",
        "description": "What it asks, in one line.",
        "data": "Where its items come from.",
        "turns": "The messages of the user, in order.",
    },
}
"""What neither a docstring nor the help of a flag says of a key; tests hold that no entry is superfluous."""

_BORROWED: dict[Struct, tuple[Struct, ...]] = {
    experiment._File: (experiment.Experiment,),
    experiment._SystemTable: (experiment.System, Sampling),
    judge._File: (judge.Judge,),
    judge._JudgeTable: (Sampling,),
}
"""Structs that hold the same keys once a file has been read, and have docstrings."""
_NOT_KEYS = {(task.DataSource, "left_out")}
"""Fields that a file may not set."""


@cache
def docstrings(struct: type) -> dict[str, str]:
    """What the source says of each field, in Markdown."""
    tree = ast.parse(inspect.getsource(struct)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, following in pairwise(tree.body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                found[field] = " ".join(text.replace("``", "`").split())
    return found


def said_elsewhere(struct: Struct, field: str) -> str | None:
    """What a key means by its docstring, by the help of its flag, or by the docstring of the struct that keeps it."""
    if text := docstrings(struct).get(field):
        return text
    if struct is experiment._File:
        flags = {param.name: param.help for param in run.params if isinstance(param, click.Option)}
        if text := flags.get(field):
            return text.replace("With --until:", "With `until`:")
    found = (docstrings(holder).get(name) for holder in _BORROWED.get(struct, ()) for name in (field, f"{field}_s"))
    return next(filter(None, found), None)


def keys(struct: Struct) -> list[msgspec.structs.FieldInfo]:
    """The fields that a file may set."""
    return [field for field in msgspec.structs.fields(struct) if (struct, field.name) not in _NOT_KEYS]


def meaning(section: str, struct: Struct, field: str) -> str:
    """What a key means. Raises ``KeyError`` where neither a docstring nor ``MEANINGS`` says it."""
    own = MEANINGS.get(section, {}).get(field)
    text = own or said_elsewhere(struct, field)
    if text is None:
        raise KeyError(f'{section}: nothing says what key "{field}" means')
    return text.replace("Null:", "Unset:").replace("; null:", "; unset:")


def _type(kind: shapes.Type) -> str:
    match kind:
        case shapes.StrType():
            return "text"
        case shapes.BoolType():
            return "true or false"
        case shapes.IntType():
            return "whole number"
        case shapes.FloatType():
            return "number"
        case shapes.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
        case shapes.ListType(item_type=item) | shapes.VarTupleType(item_type=item):
            return f"list of {_type(item)}"
        case shapes.StructType():
            return "table"
        case shapes.DictType():
            return "table"
        case shapes.UnionType(types=types):
            found = [_type(each) for each in types if not isinstance(each, shapes.NoneType)]
            return " or ".join(
                dict.fromkeys(each for each in found if not (each == "whole number" and "number" in found))
            )
        case _:
            return "any value"


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if value is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is msgspec.NODEFAULT:
        return "required"
    if value is None or value in ((), [], {}, ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{msgspec.json.encode(value).decode()}`"


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table: no line break, and no bar that would end the cell."""
    return " ".join(text.split()).replace("|", "&#124;")


_KEYS_OPENING = """# Keys of files

Every key of an experiment file, with the options of each engine, of a judge file and of a task file.
An empty default means unset. An unknown key is an error that names the nearest known one.
This page is rendered from the code.

```toml
# choice.toml: `taskpace run choice.toml`
items = 60
tasks = ["mmlu-letter", "qa-context"]

[[system]]
name = "gemma"
model = "gemma3-270m"

[[system]]
name = "smollm"
model = "smollm2-135m"
sweep = { temperature = [0, 0.7] }
```"""
_CLI_OPENING = """# Command line

Every command and option, rendered from the code; `taskpace COMMAND --help` prints the same.
Exit codes: 0 done, 1 done in part (or a `--fail-if` condition is met), 2 something to put right,
130 interrupted."""
_RUN_FILE = """# The run file

One run is one SQLite file. Rows are only added; triggers refuse changes. Everything raw is in it and nothing
derived, so the numbers of an old run can be computed again. Any SQLite reader opens it:

```text
sqlite3 runs/choice.db "SELECT outcome, count(*) FROM grade GROUP BY outcome"
```

Files of older formats are read as they are, and renewed when a run continues them. This page is
`src/taskpace/store/schema.sql`:

```sql
SCHEMA
```
"""


def keys_page() -> str:
    """Every key of every file that people write."""
    parts = [_KEYS_OPENING]
    for title, about, struct in SECTIONS:
        shape = {each.name: each.type for each in shapes.type_info(struct).fields}
        rows = [
            f"| `{field.name}` | {_cell(_type(shape[field.name]))} | {_cell(_default(field))} "
            f"| {_cell(meaning(title, struct, field.name))} |"
            for field in keys(struct)
        ]
        head = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        parts += [f"## {title}", about, head + "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def commands(group: click.Group = cli, before: str = "taskpace") -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command with its full name, groups before what is in them."""
    context = click.Context(group, info_name=before)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, **command.context_settings)
        yield f"{before} {name}", command, inner
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is not None and "--help" not in param.opts and (record[1] or isinstance(param, click.Option)):
            names = _plain(record[0].replace("  ", " ")).replace("|", "&#124;")
            rows.append(f"| <code>{names}</code> | {_cell(_plain(record[1]))} |")
    return "| option | meaning |\n| --- | --- |\n" + "\n".join(rows) if rows else ""


def _help(command: click.Command) -> str:
    return _plain(inspect.cleandoc(command.help or ""))


def _plain(text: str) -> str:
    """Text outside code as it stands: no tag, and no reference between brackets."""
    return html.escape(text, quote=False).replace("[", "&#91;")


def cli_page() -> str:
    """Every command with every option."""
    found = list(commands())
    index = "\n".join(
        f"| [`{name}`](#{name.replace(' ', '-')}) | {_cell(command.get_short_help_str(200))} |"
        for name, command, _ in found
    )
    parts = [
        _CLI_OPENING,
        f"| command | what it does |\n| --- | --- |\n{index}",
        "## Options of all commands",
        _options(cli, click.Context(cli, info_name="taskpace")),
        "An option of all commands stands before the command: `taskpace --debug run choice.toml`.",
    ]
    for name, command, context in found:
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"## {name}", f"```text\n{name} {usage}\n```", _help(command), _options(command, context)]
    return "\n\n".join(part for part in parts if part) + "\n"


def run_file_page() -> str:
    """The schema of a run file, as it stands beside the code."""
    schema = (files("taskpace.store") / "schema.sql").read_text("utf-8").rstrip()
    return _RUN_FILE.replace("SCHEMA", schema)


_PYTHON_OPENING = """# Python

```python
import taskpace

with taskpace.run("choice.toml", "runs/choice.db") as run:  # run it, or continue it
    for table in run.summary().tables:
        for row in table.rows:
            print(table.task, row.system, row.rank_task_time)

with taskpace.open("runs/choice.db") as run:  # read only
    slow = run.frame().sort("task_time_s", descending=True).head(5)
    run.chart("speed").save("speed.svg")
```

Every name that `import taskpace` gives, from the docstrings. The fields of a summary are also
[those of the JSON](../summary-json.md)."""


def python_page() -> str:
    """Every exported name, for mkdocstrings to fill in when the site is built."""
    sections: dict[str, list[str]] = {"Functions": [], "Classes": [], "Exceptions": []}
    for name in sorted(set(taskpace.__all__) - {"__version__"}, key=str.lower):
        found = getattr(taskpace, name)
        if inspect.isfunction(found):
            sections["Functions"].append(name)
        elif isinstance(found, type) and issubclass(found, Exception):
            sections["Exceptions"].append(name)
        else:
            sections["Classes"].append(name)
    parts = [_PYTHON_OPENING]
    for title, names in sections.items():
        parts += [f"## {title}", *(f"::: taskpace.{name}" for name in names)]
    return "\n\n".join(parts) + "\n"


PLUGIN_SECTIONS: tuple[tuple[str, str, tuple[Struct, ...]], ...] = (
    ("Engine: its entry", "What the entry point names.", (engine.EngineEntry,)),
    (
        "Engine: what it gets",
        "Once, when it is made, and for each request.",
        (
            engine.EngineSpec,
            engine.Request,
            engine.Message,
            engine.Sampling,
        ),
    ),
    (
        "Engine: what it gives",
        "Once, when it is open, and for each request.",
        (
            engine.EngineInfo,
            engine.Generation,
            records.Arrival,
            records.Usage,
        ),
    ),
    ("Scorer", "What the entry point names, and what `grade` returns.", (scorer.Scorer, scorer.Scored)),
    ("Extraction", "What the entry point names.", (extractor.Extraction,)),
    (
        "Importer",
        "What the entry point names, and what `read` returns.",
        (
            importer.Importer,
            logs.Log,
            logs.Sample,
            logs.Moment,
            Scenario,
        ),
    ),
)
"""Heading, introduction, and the structs that plug-ins take and give."""
_PLUGINS_OPENING = """# What plug-ins take and give

Every field and method that an engine, a scorer, an extraction or an importer of your own has to do with, rendered from
the docstrings. [Extending taskpace](../extending.md) shows how they are put together. All classes are structs of
[msgspec](https://jcristharif.com/msgspec/): fields are given by name, `None` stands for null, and
`Count` and `Seconds` are numbers that are not negative."""


def fields_of(struct: Struct) -> Iterator[tuple[str, str, str, str]]:
    """Name, type and default as the source writes them, and meaning of each. Raises ``KeyError`` without a meaning."""
    tree = ast.parse(inspect.getsource(struct)).body[0]
    assert isinstance(tree, ast.ClassDef)
    meanings = docstrings(struct)
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            default = "" if statement.value is None else f"`{ast.unparse(statement.value)}`"
            yield name, f"`{ast.unparse(statement.annotation)}`", default or "required", meanings[name]


def _methods(kind: type) -> str:
    parts = []
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(member):
            awaited = "async " if inspect.iscoroutinefunction(member) else ""
            # Annotations are kept as text.
            signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(member)))
            title = f"{awaited}{name}{signature.replace(repr(engine.nobody), 'nobody')}"
        elif isinstance(member, (property, cached_property)):
            title = name
        else:
            continue
        parts.append(f"#### `{title}`\n\n{_about(member)}".rstrip())
    return "\n\n".join(parts)


def _about(kind: object) -> str:
    return inspect.cleandoc(kind.__doc__ or "").replace("``", "`")


def _struct_part(struct: Struct) -> str:
    rows = [" | ".join(("", f"`{name}`", *map(_cell, rest), "")).strip() for name, *rest in fields_of(struct)]
    head = "| field | type | default | meaning |\n| --- | --- | --- | --- |\n"
    return f"### `{struct.__module__}.{struct.__name__}`\n\n{_about(struct)}\n\n{head}" + "\n".join(rows)


def _ours() -> str:
    """The scorers and extractions that a task file can name without any plug-in."""
    rows = []
    for name in SCORERS._ours:
        found = SCORERS[name]
        needs, options = (
            ", ".join(found.needs),
            ", ".join(found.options.__struct_fields__),
        )
        rows.append(f"| `{name}` | {found.extraction or ''} | {needs} | {', '.join(found.wants)} | {options} |")
    table = "| scorer | extraction | needs the fields | uses, where there are any | options |\n"
    table += "| --- | --- | --- | --- | --- |\n" + "\n".join(rows)
    names = ", ".join(f"`{name}`" for name in EXTRACTIONS._ours)
    return f"## Those that come with taskpace\n\nScorers:\n\n{table}\n\nExtractions: {names}."


def plugins_page() -> str:
    """What plug-ins have to do with, from the docstrings."""
    parts = [_PLUGINS_OPENING]
    for title, about, structs in PLUGIN_SECTIONS:
        parts += [f"## {title}", about, *map(_struct_part, structs)]
        if title == "Engine: what it gives":
            kinds = (
                engine.Engine,
                engine.BatchEngine,
                engine.ThreadedReader,
                engine.DeviceEngine,
                engine.Stamps,
                engine.AnswerBuilder,
            )
            parts.append("## Engine: its methods")
            parts += [f"### `{each.__name__}`\n\n{_about(each)}\n\n{_methods(each)}".rstrip() for each in kinds]
        if title == "Importer":
            parts.append(f"### `{Source.__module__}.Source`\n\n{_about(Source)}\n\n{_methods(Source)}")
            parts.append(f"### `{values.__name__}`\n\n{_about(values)}\n\n{_functions(values)}")
    return "\n\n".join((*parts, _ours())) + "\n"


def _functions(module: ModuleType) -> str:
    found = [each for each in vars(module).values() if inspect.isfunction(each) and each.__module__ == module.__name__]
    rows = [f"| `{each.__name__}` | {_cell(_about(each))} |" for each in found]
    return "| function | gives |\n| --- | --- |\n" + "\n".join(rows)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "keys.md": keys_page,
    "run-file.md": run_file_page,
    "python.md": python_page,
    "plugins.md": plugins_page,
}
"""Every rendered page by its file name."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
