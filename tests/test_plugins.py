"""Entry points of other distributions: what they name is found, and what is broken breaks nothing but itself."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taskpace import engines
from taskpace.engines.base import EngineEntry, EngineSpec, Generation, Stamps, Usage
from taskpace.errors import EngineError, ExperimentError, LogError, MissingExtraError, TaskError
from taskpace.importing.base import Importer
from taskpace.importing.foreign import checked as checked_importer
from taskpace.importing.formats import read_logs
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.source import Source
from taskpace.plugins import Plugin, Registry, unknown_groups
from taskpace.records import Arrival
from taskpace.tasks import load_task
from taskpace.tasks.extractors import EXTRACTIONS
from taskpace.tasks.scorers import SCORERS, FieldProblem, Scored, Scorer
from taskpace.tasks.scorers.foreign import checked as checked_scorer
from taskpace.worker.trial import read_of

GROUP = "taskpace.engines"
ENTRY = """
from taskpace.engines.base import EngineEntry

ENTRY = EngineEntry(name="{name}", summary="s", target="{module}:Missing", {more})
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path, monkeypatch) -> Iterator[Install]:
    """Puts a distribution on the path: a module, and entry points that name its attributes."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def put(distribution: str, source: str, group: str = GROUP, **points: str) -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source, "utf-8")
        about = tmp_path / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", "utf-8")
        lines = [f"{name} = {module}:{attribute}" for name, attribute in points.items()]
        (about / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]), "utf-8")

    yield put
    for module in set(sys.modules) - known:
        if module.startswith("plug_"):
            del sys.modules[module]


@pytest.fixture
def found() -> Registry[EngineEntry]:
    """The engines, as a process finds them that starts now."""
    return Registry(GROUP, "engine", EngineEntry, {"ours": engines.ENGINES["simulated"]}, engines._receive)


def test_an_engine_from_elsewhere_has_all_that_its_entry_says(install, found):
    """Batches, processes, model files and libraries are the entry's, the distribution is the entry point's."""
    more = "batches=True, remote=True, needs_model_file=False, takes_model_file=True, library='x', extra='y'"
    install("plug-a", ENTRY.format(name="far", module="plug_a", more=more), far="ENTRY")
    assert list(found) == ["ours", "far"]
    entry = found["far"]
    assert (entry.batches, entry.remote, entry.needs_model_file, entry.takes_model_file) == (True, True, False, True)
    assert entry.distribution == "plug-a"
    with pytest.raises(MissingExtraError, match=r"engine far needs x.*pip install 'plug-a\[y\]'"):
        engines.require_library(entry)


@pytest.mark.parametrize(
    ("source", "attribute", "why"),
    [
        ("import there_is_no_such_library", "ENTRY", "ModuleNotFoundError: No module named 'there_is_no_such_library'"),
        ("raise RuntimeError('two\\nlines')", "ENTRY", "RuntimeError: two lines"),
        ("class Engine: ...", "Engine", "plug_b:Engine is of type type, not EngineEntry"),
        ("", "ENTRY", "AttributeError"),
        ("def (", "ENTRY", "SyntaxError"),
        (ENTRY.format(name="other", module="plug_b", more=""), "ENTRY", 'its entry is called "other"'),
    ],
)
def test_a_broken_engine_is_named_in_one_line_and_the_others_work(install, found, source, attribute, why):
    """Whatever happens when it is loaded, it is left out and says why, where it comes from and what to do."""
    install("plug-b", source, bad=attribute)
    install("plug-c", ENTRY.format(name="good", module="plug_c", more=""), good="ENTRY")
    assert set(found) == {"ours", "good"}
    problem = found.problem("bad")
    assert problem is not None
    assert problem.startswith('engine "bad" of plug-b cannot be used: ')
    assert why in problem
    assert problem.endswith(": repair or uninstall plug-b")
    assert "\n" not in problem
    assert {each.name: each.problem for each in found.plugins()} == {"bad": problem, "good": None}


def test_ours_are_not_replaced_and_two_of_one_name_are_neither(install, found):
    """A foreign engine of one of our names is left out; of two foreign ones that share a name neither is taken."""
    install("plug-d", ENTRY.format(name="ours", module="plug_d", more=""), ours="ENTRY")
    install("plug-e", ENTRY.format(name="twin", module="plug_e", more=""), twin="ENTRY")
    install("plug-f", ENTRY.format(name="twin", module="plug_f", more=""), twin="ENTRY")
    assert found["ours"].name == "simulated"
    assert set(found) == {"ours"}
    problems = {each.distribution: each.problem for each in found.plugins()}
    assert problems["plug-d"] == 'engine "ours" of plug-d is left out: taskpace has one of that name'
    assert problems["plug-e"] == problems["plug-f"] == found.problem("twin")
    assert "uninstall one of them" in (found.problem("twin") or "")


def test_what_is_ours_is_found_without_reading_the_entry_points(monkeypatch):
    """A run on our own engines, scorers and extractions reads no other distribution's metadata."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("read"))
    for registry in (engines.ENGINES, SCORERS, EXTRACTIONS):
        fresh: Registry[object] = Registry(registry._group, registry._what, object, registry._ours)
        for name in registry._ours:
            assert fresh.problem(name) is None
            assert fresh[name] is registry[name]


def test_entry_points_are_read_once(install, monkeypatch):
    """However often a foreign name, known or not, is looked up."""
    install("plug-g", ENTRY.format(name="far", module="plug_g", more=""), far="ENTRY")
    import importlib.metadata

    reads = []
    real = importlib.metadata.entry_points
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **group: reads.append(group) or real(**group))
    found: Registry[EngineEntry] = Registry(GROUP, "engine", EngineEntry, {})
    for _ in range(3):
        assert found["far"].name == "far"
        assert found.problem("fra") == 'unknown engine "fra" (did you mean "far"?)'
    assert len(reads) == 1


def test_an_engine_that_cannot_be_imported_is_an_error_in_one_line(monkeypatch):
    """A target or an options check that is not there is found when it is asked for, and named."""
    entry = EngineEntry(
        name="far", summary="s", target="no_such_module:E", options_check="json:no_such", distribution="d"
    )
    monkeypatch.setattr(engines, "ENGINES", Registry(GROUP, "engine", EngineEntry, {"far": entry}))
    with pytest.raises(ExperimentError, match='engine "far" of d cannot be used: no_such_module:E cannot be imported'):
        engines.create(EngineSpec(engine="far", model="", options={}, slots=1))
    with pytest.raises(ExperimentError, match="json:no_such cannot be imported"):
        engines.check_options("far", {})


@pytest.mark.parametrize(("whose", "raised"), [("d", ExperimentError), ("taskpace", OSError)])
def test_whatever_the_import_of_a_foreign_engine_raises_names_it(monkeypatch, whose, raised):
    """A library of CUDA that is not there, or a slip in the module; one of ours is a fault of taskpace's own."""

    def resolve(_target):
        raise OSError("libcudart.so.12: cannot open shared object file")

    entry = EngineEntry(name="far", summary="s", target="m:E", distribution=whose)
    monkeypatch.setattr(engines, "ENGINES", Registry(GROUP, "engine", EngineEntry, {"far": entry}))
    monkeypatch.setattr(engines, "resolve_name", resolve)
    with pytest.raises(raised, match=r"libcudart\.so\.12"):
        engines.create(EngineSpec(engine="far", model="", options={}, slots=1))


def test_an_engine_must_keep_its_promise_of_batches(monkeypatch):
    """An entry that promises static batches for an engine without the method is refused when the engine is made."""
    entry = EngineEntry(name="far", summary="s", target="taskpace.engines.simulated:SimulatedEngine", batches=True)
    monkeypatch.setattr(engines, "ENGINES", Registry(GROUP, "engine", EngineEntry, {"far": entry}))
    with pytest.raises(ExperimentError, match='has no method "generate_batch", and its entry declares static batches'):
        engines.create(EngineSpec(engine="far", model="", options={}, slots=1))


class Whole:
    """An engine that has all its methods."""

    clock = None

    def __init__(self, spec: EngineSpec) -> None: ...
    async def open(self) -> None: ...
    def prepare(self) -> None: ...
    async def ready(self) -> None: ...
    async def generate(self) -> None: ...
    def read(self) -> None: ...
    async def close(self) -> None: ...


class NoClock(Whole):
    clock = property()  # which raises AttributeError


class NotReady(Whole):
    ready = None


class Plain(Whole):
    def generate(self) -> None: ...


def refuse_all(_options: object) -> None:
    raise KeyError("speed")


def entry_of(target: str, check: str | None = None) -> Registry[EngineEntry]:
    made = EngineEntry(name="far", summary="s", target=f"{__name__}:{target}", options_check=check, distribution="d")
    return Registry(GROUP, "engine", EngineEntry, {"far": made})


@pytest.mark.parametrize(
    ("target", "problem", "seen"),
    [
        ("Whole", None, True),
        ("NoClock", 'has no attribute "clock"', False),
        ("NotReady", 'has no method "ready"', True),
        ("Plain", 'has a method "generate" that is not `async def`', True),
        ("Missing", "cannot be imported: AttributeError", True),
    ],
)
def test_an_engine_that_lacks_something_is_refused_when_it_is_made(monkeypatch, target, problem, seen):
    """One line names engine, distribution and what is missing; ``doctor`` sees it if the class shows it."""
    monkeypatch.setattr(engines, "ENGINES", entry_of(target))
    spec = EngineSpec(engine="far", model="", options={}, slots=1)
    looked = engines.looked_at(Plugin("engine", "far", "d", None)).problem
    if problem is None:
        assert isinstance(engines.create(spec), Whole)
        assert looked is None
        return
    with pytest.raises(ExperimentError, match=re.escape(problem)) as caught:
        engines.create(spec)
    assert str(caught.value).startswith('engine "far" of d cannot be used: ')
    assert looked == (str(caught.value) if seen else None)


def test_an_options_check_that_fails_is_its_distributions_fault(monkeypatch):
    """What it raises, unless it is an error of ours, is named, and not taken for a fault of taskpace."""
    monkeypatch.setattr(engines, "ENGINES", entry_of("Whole", f"{__name__}:refuse_all"))
    with pytest.raises(ExperimentError, match=r'"far" of d failed to check its options: .* raised KeyError: \'speed\''):
        engines.check_options("far", {})


SCORER = Scorer(
    version=1,
    extraction=None,
    needs=("answer",),
    accept=lambda fields: fields,
    grade=lambda *_: Scored(outcome="correct"),
    script=lambda _: ("yes", "no"),
)


@pytest.mark.parametrize(
    ("changes", "call", "error", "said"),
    [
        ({"accept": lambda _: None}, "accept", TaskError, "its accept gives NoneType, not dict"),
        ({"accept": lambda _: 1 / 0}, "accept", TaskError, "failed in its accept: ZeroDivisionError"),
        ({"script": lambda _: "yes"}, "script", TaskError, "its script gives str, not tuple"),
        ({"survey": lambda _: 1 / 0}, "survey", TaskError, "failed in its survey: ZeroDivisionError"),
        ({"grade": lambda *_: None}, "grade", TypeError, "grade gives NoneType, not Scored"),
        ({"grade": lambda *_: Scored(outcome="right")}, "grade", ValueError, 'the outcome "right" is none of correct'),
        ({"grade": lambda *_: Scored(outcome="wrong", score=7.0)}, "grade", ValueError, "is not from 0 to 1"),
    ],
)
def test_what_a_foreign_scorer_gives_is_looked_at(changes, call, error, said):
    """Before a run it is one line that names scorer and distribution; a grade that cannot be kept is its own fault."""
    scorer = checked_scorer(msgspec.structs.replace(SCORER, **changes), "mine", "d")
    with pytest.raises(error, match=said) as caught:
        getattr(scorer, call)(*[{}] * (4 if call == "grade" else 1))
    if error is TaskError:
        assert 'scorer "mine" of d' in str(caught.value)


def test_a_score_of_another_kind_of_number_is_kept_as_a_number():
    """Numpy's, for example: SQLite takes none of them."""
    scorer = msgspec.structs.replace(SCORER, grade=lambda *_: Scored(outcome="correct", score=np.float32(0.5)))
    (grade,) = [checked_scorer(scorer, "mine", "d").grade("yes", None, {}, None)]
    assert type(grade.score) is float
    assert grade.score == 0.5


@pytest.mark.parametrize(
    ("usage", "arrival", "said"),
    [
        (Usage(output_tokens=-1), Arrival(1, 1, 0), "a count of -1 tokens; what is unknown is None"),
        (Usage(prompt_tokens=2**53 + 1), Arrival(1, 1, 0), "a count of 9007199254740993 tokens"),
        (Usage(), Arrival(1, -1, 0), "an arrival of less than 0 bytes"),
    ],
)
def test_what_an_engine_counts_is_what_a_run_file_holds(usage, arrival, said):
    """Else the run file could not be read again."""

    class Counting(Whole):
        def read(self, _stamps):
            return Generation(
                arrivals=(arrival,), finish_ns=1, text="x", reasoning="", finish_reason="stop", usage=usage
            )

    engine: Any = Counting(EngineSpec(engine="far", model="", options={}, slots=1))
    with pytest.raises(EngineError, match=said):
        read_of(engine, Stamps(), 0, 1)


def test_a_scorer_may_refuse_a_field(tmp_path):
    """What an extension raises on purpose goes through as it is."""

    def refuse(_fields: object) -> dict[str, object]:
        raise FieldProblem("answer", "is empty")

    with pytest.raises(FieldProblem):
        checked_scorer(msgspec.structs.replace(SCORER, accept=refuse), "mine", "d").accept({})


SAMPLE = Sample(item="1", seconds=1.0, output_tokens=3)
LOG = Log(
    tool="t", version=None, file="x", sha256="0", model="m", task="k", samples=(SAMPLE,), graded=False, times="all"
)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda _: {}["x"], "failed to read it: KeyError: 'x'"),
        (lambda _: None, "Expected `array`, got `null`"),
        (lambda _: (msgspec.structs.replace(SAMPLE),), "Object missing required field"),
        (lambda _: (with_sample(seconds=-1.0),), "Expected `float` >= 0.0 - at `$[0].samples[0].seconds`"),
        (lambda _: (with_sample(seconds=float("nan")),), "at `$[0].samples[0].seconds`"),
        (lambda _: (with_sample(text=b"x"),), "Expected `str | null`, got `bytes` - at `$[0].samples[0].text`"),
        (lambda _: (with_sample(output_tokens=True),), "at `$[0].samples[0].output_tokens`"),
        (lambda _: (with_sample(output_tokens=2**62),), "at `$[0].samples[0].output_tokens`"),
        (lambda _: (with_sample(repeat=0),), "at `$[0].samples[0].repeat`"),
        (lambda _: (with_sample(started_s=float("nan")),), "at `$[0].samples[0].started_s`"),
        (lambda _: (with_sample(moments=(Moment(0.1, 2**32),)),), "at `$[0].samples[0].moments[0].visible_bytes`"),
    ],
)
def test_what_a_foreign_importer_gives_is_looked_at(tmp_path, read, said):
    """A log is what ``Log`` says, or one line names file, importer, distribution and the field."""
    (tmp_path / "x.jsonl").write_text("{}")
    importer = checked_importer(Importer(summary="s", recognises=lambda _: True, read=read), "mine", "d")
    with pytest.raises(LogError, match=re.escape(said)) as caught:
        importer.read(Source(tmp_path / "x.jsonl"))
    assert 'x.jsonl: importer "mine" of d ' in str(caught.value)


def with_sample(**changes: object) -> Log:
    return msgspec.structs.replace(LOG, samples=(msgspec.structs.replace(SAMPLE, **changes),))


def test_a_whole_log_goes_through_unchanged(tmp_path):
    """The check changes nothing of a log that is right."""
    importer = checked_importer(Importer(summary="s", recognises=lambda _: True, read=lambda _: (LOG,)), "mine", "d")
    assert importer.read(Source(tmp_path)) == (LOG,)


def test_an_importer_that_fails_to_look_stops_no_other(monkeypatch, tmp_path):
    """Another one may recognise the file; where none does, the failure is reported."""
    broken = checked_importer(Importer(summary="s", recognises=lambda _: 1 / 0, read=lambda _: (LOG,)), "mine", "d")
    good = Importer(summary="s", recognises=lambda source: source.name == "x", read=lambda _: (LOG,))
    monkeypatch.setattr(
        "taskpace.importing.formats.FORMATS", Registry("g", "importer", Importer, {"mine": broken, "good": good})
    )
    for name in ("x", "y"):
        (tmp_path / name).write_text("{}")
    assert read_logs([tmp_path / "x"], None) == [LOG]
    with pytest.raises(LogError, match=r'y: importer "mine" of d failed to look at it: ZeroDivisionError'):
        read_logs([tmp_path / "y"], None)


def test_an_entry_point_in_a_group_that_no_one_reads_is_named(install):
    """A misspelt group is shown with the one that was meant."""
    install("plug-j", "X = 1", "taskpace.importer", mine="X")
    (stray,) = unknown_groups(["taskpace.importers", GROUP])
    assert (stray.name, stray.distribution) == ("mine", "plug-j")
    assert stray.problem == (
        'in the group "taskpace.importer", which taskpace does not read (did you mean "taskpace.importers"?)'
    )


@pytest.mark.parametrize(("key", "registry"), [("scorer", "SCORERS"), ("extraction", "EXTRACTIONS")])
def test_a_task_names_a_broken_scorer_or_extraction(install, monkeypatch, tmp_path, key, registry):
    """A task file that uses one is refused with its location, the key and the reason."""
    usual: Registry[object] = {"SCORERS": SCORERS, "EXTRACTIONS": EXTRACTIONS}[registry]
    install("plug-h", "import there_is_no_such_library", usual._group, mine="X")
    monkeypatch.setattr(
        f"taskpace.tasks.task.{registry}", Registry(usual._group, usual._what, usual._kind, usual._ours)
    )
    (tmp_path / "t.toml").write_text(
        f'name = "t"\nversion = 1\ndescription = "d"\nmax_tokens = 1\n{key} = "mine"\n'
        '[data]\nsource = "x.csv"\n[[turns]]\nprompt = "x"\n'
    )
    with pytest.raises(TaskError, match=rf't\.toml: key "{key}": {key} "mine" of plug-h cannot be used: Module'):
        load_task("t.toml", tmp_path)


@pytest.mark.slow
def test_the_tool_works_beside_a_broken_plug_in(install, cli_process, tmp_path):
    """``list engines`` and ``doctor`` name it, a run on it is refused in one line, and other engines run."""
    install("plug-i", "import there_is_no_such_library", bad="ENTRY")
    path = {"PYTHONPATH": f"{tmp_path}:{Path(engines.__file__).parents[2]}"}
    listed = cli_process("list", "engines", columns=300, **path)
    assert listed.returncode == 0
    assert 'engine "bad" of plug-i cannot be used' in listed.stdout
    facts = json.loads(cli_process("doctor", "--json", **path).stdout)
    assert [(each["what"], each["name"], each["distribution"]) for each in facts["plugins"]] == [
        ("engine", "bad", "plug-i")
    ]
    refused = cli_process("run", "-m", "sim", "--engine", "bad", **path)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "there_is_no_such_library" in refused.stderr
    done = cli_process("plan", "-m", "sim", "--engine", "simulated", "-n", "1", **path)
    assert done.returncode == 0, done.stderr
