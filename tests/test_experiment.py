"""The experiment file: what it may say, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import DEFAULT_TASKS, load_experiment, quick_experiment
from taskpace.experiment.scenario import Scenario, read_scenario
from taskpace.report.files.experiment import experiment_toml

MINIMAL = '[[system]]\nname = "a"\nmodel = "m.gguf"\n'


def load(tmp_path: Path, text: str):
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    return load_experiment(path)


def test_a_minimal_file_gets_the_documented_defaults(tmp_path):
    """One system is enough; everything else has a default."""
    experiment = load(tmp_path, MINIMAL)
    assert experiment.name == "experiment"
    assert [use.use for use in experiment.tasks] == list(DEFAULT_TASKS)
    assert experiment.scenarios == (Scenario(),)
    assert (experiment.items, experiment.repeats, experiment.seed, experiment.timeout_s) == (None, 1, 0, 120.0)
    assert experiment.systems[0].sampling.temperature == 0


def test_a_sweep_makes_a_system_of_every_value(tmp_path):
    """Temperature = [0, 0.7, 1.5] makes three systems, named by their value."""
    experiment = load(tmp_path, MINIMAL + "sweep = { temperature = [0, 0.7, 1.5] }\n")
    assert [system.name for system in experiment.systems] == [
        "a temperature=0",
        "a temperature=0.7",
        "a temperature=1.5",
    ]
    assert [system.sampling.temperature for system in experiment.systems] == [0, 0.7, 1.5]


def test_two_sweeps_make_their_product_and_unknown_keys_are_engine_options(tmp_path):
    """A sweep of a key that is not a system key sweeps the engine option of that name, with or without the prefix."""
    text = (
        MINIMAL + 'options = { context = 512 }\n[system.sweep]\nseed = [1, 2]\nthreads = [1, 2]\n"options.gpu" = [0]\n'
    )
    systems = load(tmp_path, text).systems
    assert [(s.sampling.seed, s.options) for s in systems] == [
        (seed, {"context": 512, "threads": threads, "gpu": 0}) for seed in (1, 2) for threads in (1, 2)
    ]
    assert len({s.name for s in systems}) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINIMAL + 'modle = "x"\n', ['system 1: unknown key "modle"', 'did you mean "model"']),
        ("item = 3\n" + MINIMAL, ['unknown key "item"', 'did you mean "items"']),
        ('items = "many"\n' + MINIMAL, ['key "items"', "expected a whole number, got text"]),
        ("items = -1\n" + MINIMAL, ['key "items"', "-1", "give 1 or more"]),
        ("repeats = 0\n" + MINIMAL, ['key "repeats"']),
        ("warmup = -2\n" + MINIMAL, ['key "warmup"']),
        ("timeout = 0\n" + MINIMAL, ['key "timeout"', "seconds above 0"]),
        ("timeout = inf\n" + MINIMAL, ['key "timeout"']),
        ("max_tokens = 0\n" + MINIMAL, ['key "max_tokens"']),
        ('name = "../x"\n' + MINIMAL, ['key "name"', "slashes"]),
        ('name = "a\\u0000b"\n' + MINIMAL, ['key "name"']),
        ("timeout = 1e300\n" + MINIMAL, ['key "timeout"']),
        ("timeout = nan\n" + MINIMAL, ['key "timeout"']),
        ("max_tokens = 10000000000000000000000\n" + MINIMAL, ['key "max_tokens"', "too large"]),
        ("processes = 100000\n" + MINIMAL, ['key "processes"', "too large: give 256 or less"]),
        ("retries = 1000000000\n" + MINIMAL, ['key "retries"', "too large: give 1000 or less"]),
        (f"{MINIMAL}sweep = {{ seed = {[*range(100)]}, top_p = {[0.1] * 11} }}\n", ["1,100 systems", "1,000 at most"]),
        (f"tasks = {['math'] * 1001}\n" + MINIMAL, ['key "tasks"', "1,001", "1,000 at most"]),
        (MINIMAL + "seed = 100000000000000000000000000000\n", ['seed" of the system "a"', "too large"]),
        (MINIMAL + "options = { a = [100000000000000000000000] }\n", ['key "options"', "too large"]),
        (MINIMAL + 'sweep = { threads = [1], "options.threads" = [2] }\n', ['sweep "threads"', "keep one"]),
        ('tasks = [{ prompts = "p.jsonl", data = "x.csv" }]\n' + MINIMAL, ['key "data"']),
        ("tasks = []\n" + MINIMAL, ['key "tasks"', "empty"]),
        ("scenarios = []\n" + MINIMAL, ['key "scenarios"', "empty"]),
        ('scenarios = ["singel"]\n' + MINIMAL, ['unknown scenario "singel"', 'did you mean "single"']),
        ('scenarios = ["concurrency=0"]\n' + MINIMAL, ["concurrency=0", "N from 1"]),
        ('scenarios = ["single", "concurrency=1"]\n' + MINIMAL, ["two scenarios"]),
        ("tasks = [{ items = 3 }]\n" + MINIMAL, ['either "use"']),
        ('tasks = [{ use = "x", items = 0 }]\n' + MINIMAL, ['key "items" of the task "x"']),
        (MINIMAL + MINIMAL, ['two systems are called "a"']),
        (MINIMAL + "temperature = -1\n", ['system "a", key "temperature"', "-1"]),
        (MINIMAL + "top_p = 2\n", ['key "top_p"', "0 to 1"]),
        (MINIMAL + 'sweep = { temperature = ["hot"] }\n', ['key "temperature"', "hot"]),
        (MINIMAL + "sweep = { temperature = [] }\n", ['sweep "temperature"', "empty"]),
        ('[[system]]\nmodel = "m"\n', ['system 1: the key "name" is missing']),
        ("items = 3\n", ["names no system: give it a [[system]]"]),
        ("system = 3\n", ['key "system"', "expected a list"]),
        ("items = = 3\n", ["not valid TOML"]),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, text, says):
    """Every refusal is one line that names the file and the key and says what to do."""
    with pytest.raises(ExperimentError) as refusal:
        load(tmp_path, text)
    message = str(refusal.value)
    assert "experiment.toml" in message
    assert "\n" not in message
    for words in says:
        assert words in message


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path):
    """Broken UTF-8 names the line it stands in."""
    path = tmp_path / "x.toml"
    path.write_bytes(b'name = "a"\n# caf\xe9\n')
    with pytest.raises(ExperimentError, match="line 2 is not UTF-8"):
        load_experiment(path)


def test_a_missing_file_is_refused(tmp_path):
    """A path without a file says so."""
    with pytest.raises(ExperimentError, match="file not found: check the path"):
        load_experiment(tmp_path / "none.toml")


def test_long_swept_texts_make_systems_of_different_names(tmp_path):
    """Two system prompts that begin alike are two systems with names that differ."""
    text = (
        MINIMAL
        + 'sweep = { system_prompt = ["You are a helpful assistant. Be brief.", "You are a helpful assistant."] }\n'
    )
    names = [system.name for system in load(tmp_path, text).systems]
    assert len(set(names)) == 2
    assert all(name.startswith("a system_prompt=You are a helpful") for name in names)


def test_models_of_one_name_keep_their_folders():
    """Two files that are called alike are distinguished by their whole reference."""
    systems = quick_experiment(models=("a/m.gguf", "b/m.gguf", "c/n.gguf")).systems
    assert [system.name for system in systems] == ["a/m.gguf", "b/m.gguf", "n"]


def test_scenarios_are_read_with_and_without_spaces():
    """Both ways of writing the equals sign are taken, and 1 in flight is ``single``."""
    assert read_scenario("concurrency = 8", "x").name == "concurrency=8"
    assert read_scenario("concurrency=1", "x").name == "single"
    assert read_scenario(" single ", "x").name == "single"


def test_the_quick_form_makes_one_system_per_model():
    """Flags give the same experiment as a file would: names from the models, one set of settings."""
    experiment = quick_experiment(
        models=("smollm2-135m", "models/Big.gguf"), tasks=("mmlu-letter",), items=3, temperature=0.5
    )
    assert [system.name for system in experiment.systems] == ["smollm2-135m", "Big"]
    assert {system.sampling.temperature for system in experiment.systems} == {0.5}
    assert experiment.items == 3


def test_the_quick_form_runs_prompts_without_a_task():
    """``--prompts`` alone is a task; the default tasks stay out."""
    experiment = quick_experiment(models=("m",), prompts="mine.jsonl")
    assert [(use.use, use.prompts) for use in experiment.tasks] == [(None, "mine.jsonl")]


def test_the_quick_form_passes_data_to_every_task():
    """``--data`` and ``--where`` change the data of each task."""
    experiment = quick_experiment(models=("m",), data="x.parquet", where={"subject": "miscellaneous"})
    assert {use.data for use in experiment.tasks} == {"x.parquet"}
    assert all(use.where == {"subject": "miscellaneous"} for use in experiment.tasks)


def test_a_shipped_example_loads():
    """The demonstration's experiment file is a good one."""
    path = Path(__file__).parents[1] / "examples" / "demo.toml"
    experiment = load_experiment(path)
    assert len(experiment.systems) == 3
    assert experiment.items >= 20


SWEPT = """
scenarios = ["single", "concurrency=2, 4", { concurrency = [8, 16] }, { rate = [0.5, 2] }, "rate=1e1"]
deadline = 2.5
retries = 2
processes = 3
"""


def test_scenarios_are_swept_as_lists(tmp_path):
    """A text with commas or a table with a list: each load is a scenario of its own, in the order given."""
    experiment = load(tmp_path, SWEPT + MINIMAL)
    assert [scenario.name for scenario in experiment.scenarios] == [
        "single", "concurrency=2", "concurrency=4", "concurrency=8", "concurrency=16", "rate=0.5", "rate=2", "rate=10",
    ]  # fmt: skip
    assert [scenario.one_at_a_time for scenario in experiment.scenarios] == [True] + [False] * 7


def test_an_experiment_written_out_is_the_same_one(tmp_path):
    """What a report offers for download reads as the experiment that it came from."""
    experiment = load(tmp_path, SWEPT + MINIMAL)
    path = tmp_path / "again.toml"
    path.write_text(experiment_toml(experiment), "utf-8")
    assert load_experiment(path) == experiment


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf", "1e-9", "1e99", "", "1,", "x", "1_0"])
def test_a_rate_is_a_number_within_reason(number):
    """Anything else is refused with the forms that there are."""
    with pytest.raises(ExperimentError, match='"rate=R"'):
        quick_experiment(models=("m",), engine="simulated", scenarios=(f"rate={number}",))
