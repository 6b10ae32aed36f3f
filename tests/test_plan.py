"""The plan: pure, the same everywhere, and different for whatever makes a difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from taskpace.errors import ExperimentError, TaskError
from taskpace.experiment.experiment import Experiment, TaskUse
from taskpace.experiment.plan import content_id, make_plan, remaining, request_seed
from taskpace.experiment.prepare import _plan_task, prepare
from taskpace.experiment.scenario import Scenario
from taskpace.text.strict import canonical_json, plain


@pytest.fixture
def experiment(simulated: Callable[..., Experiment]) -> Experiment:
    return simulated(
        models=("a", "b"),
        tasks=("mmlu-letter", "mmlu-explain"),
        items=4,
        repeats=3,
        scenarios=("single", "concurrency=2"),
    )


def ids(plan):
    return [trial.id for cell in plan.cells for trial in plan.trials(cell)]


def test_a_plan_is_the_product_of_systems_tasks_and_scenarios(experiment):
    """Cells are systems x tasks x scenarios, trials are cells x items x repeats, all with ids of their own."""
    plan = prepare(experiment, Path())
    assert len(plan.cells) == 2 * 2 * 2
    assert plan.trial_count == 8 * 4 * 3 == len(ids(plan)) == len(set(ids(plan)))


def test_the_same_experiment_gives_the_same_plan(experiment):
    """Nothing but the experiment's content decides the ids."""
    assert ids(prepare(experiment, Path())) == ids(prepare(experiment, Path("elsewhere")))
    assert canonical_json(experiment) == msgspec.json.encode(plain(experiment), order="sorted")


def test_a_plan_s_id_is_the_hash_of_all_that_it_asks(experiment):
    """However quickly it is made: that of the cells, of the items of each task in order, of repeats and warm-ups."""
    plan = prepare(experiment, Path())
    items = [[(item.id, item.prompts) for item in task.items] for task in plan.tasks]
    cells = [cell.id for cell in plan.cells]
    assert plan.id == content_id("plan", cells, items, 3, experiment.warmup)
    nothing = tuple(msgspec.structs.replace(task, items=()) for task in plan.tasks)
    assert make_plan(experiment, plan.systems, nothing).id == content_id("plan", cells, [[], []], 3, experiment.warmup)


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.5}, {"system_prompt": "be brief"}, {"timeout": 9.0}, {"max_tokens": 7}, {"seed": 5}],
)
def test_what_changes_a_trial_changes_its_id(simulated, change):
    """Sampling, system prompt, limits and seed are part of a trial's identity."""
    assert not set(ids(prepare(simulated(), Path()))) & set(ids(prepare(simulated(**change), Path())))


OLDER_ID = "18f695c447be912b59cfe7f5"
"""Of the first trial of `translate`, planned before there were think times and limits of systems."""


def with_use(experiment, **changes):
    return msgspec.structs.replace(experiment, tasks=(TaskUse(use="dialogue", **changes),))


def test_ids_without_think_time_are_those_of_older_run_files(simulated):
    """A key of a task that came later changes no id as long as it is not used; used, it is part of the trial."""
    plain, zero, some = (
        ids(prepare(with_use(simulated(), **changes), Path()))
        for changes in ({}, {"think_time_s": 0.0}, {"think_time_s": 2.0})
    )
    assert plain == zero
    assert ids(prepare(simulated(tasks=("translate",)), Path()))[0] == OLDER_ID
    assert not set(plain) & set(some)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), 3601.0])
def test_a_think_time_that_is_none_is_refused(simulated, seconds):
    """One line names the key and the range, for an experiment's override too."""
    with pytest.raises(TaskError, match=r'task "dialogue": key "think_time_s": .* from 0 to 3600'):
        prepare(with_use(simulated(), think_time_s=seconds), Path())


def test_a_static_batch_has_one_turn(simulated):
    """A dialogue in static batches would ask its first turn alone, so it is refused."""
    experiment = with_use(simulated())
    batched = msgspec.structs.replace(experiment, scenarios=(Scenario(batch=4),))
    with pytest.raises(ExperimentError, match="3 turns"):
        _plan_task(batched.tasks[0], batched, Path())


def test_more_items_keep_the_trials_there_were(simulated):
    """The first n items of a larger choice are the smaller choice, so their trials have the same ids."""
    few, many = (ids(prepare(simulated(items=n), Path())) for n in (5, 12))
    assert many[: len(few)] == few


def test_systems_get_the_same_items_in_the_same_order(experiment):
    """Trials of two systems on one task are paired by item."""
    plan = prepare(experiment, Path())
    orders = {(cell.task.name): [trial.item.id for trial in plan.trials(cell)] for cell in plan.cells}
    for cell in plan.cells:
        assert [trial.item.id for trial in plan.trials(cell)] == orders[cell.task.name]


def test_where_a_model_lies_does_not_matter_its_checksum_does(simulated):
    """A plan made on another machine has the same ids as long as the model file is the same."""
    plan = prepare(simulated(), Path())
    here, there, other = (
        make_plan(
            plan.experiment,
            tuple(msgspec.structs.replace(system, path=path, sha256=sha) for system in plan.systems),
            plan.tasks,
        )
        for path, sha in (("/a/m.gguf", "1" * 64), ("/b/n.gguf", "1" * 64), ("/a/m.gguf", "2" * 64))
    )
    assert ids(here) == ids(there)
    assert not set(ids(here)) & set(ids(other))


@pytest.mark.slow
@given(done=st.sets(st.integers(0, 14)))
def test_what_remains_is_what_has_no_record(done):
    """For any set of recorded trials the rest remains, in the plan's order, and nothing else."""
    plan = _plan()
    cell = plan.cells[0]
    trials = list(plan.trials(cell))
    recorded = {trials[number].id for number in done}
    left = remaining(plan.trials(cell), recorded)
    assert [trial.id for trial in left] == [trial.id for trial in trials if trial.id not in recorded]


def _plan():
    import taskpace

    return prepare(
        taskpace.quick_experiment(models=("s",), engine="simulated", tasks=("mmlu-letter",), items=5, repeats=3), Path()
    )


def test_trials_are_made_of_their_ids_when_they_are_asked_for(experiment):
    """A cell's trials are a sequence: each is its item in its repeat, under the hash of what it asks."""
    plan = prepare(experiment, Path())
    for cell in plan.cells:
        trials = plan.trials(cell)
        whole = list(trials)
        assert [(trial.item, trial.repeat) for trial in whole] == [
            (item, repeat) for repeat in (1, 2, 3) for item in cell.task.items
        ]
        assert [trial.id for trial in whole] == [
            content_id("trial", cell.id, trial.item.id, trial.item.prompts, trial.repeat) for trial in whole
        ]
        assert [trial.id for trial in whole] == list(trials.ids())
        assert trials.item_ids() == [trial.item.id for trial in whole]
        assert trials.repeats() == [trial.repeat for trial in whole]
        assert (trials[3], trials[-1], trials[2:9:3]) == (whole[3], whole[-1], tuple(whole[2:9:3]))
        with pytest.raises(IndexError):
            trials[len(trials)]


def test_request_seeds_differ_by_trial_and_repeat_and_come_back():
    """A trial's sampling seed is its own, fits in 31 bits, and is the same in every run."""
    plan = _plan()
    seeds = [request_seed(trial_id, 1) for trial_id in ids(plan)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [request_seed(trial_id, 1) for trial_id in ids(plan)]
    assert seeds != [request_seed(trial_id, 2) for trial_id in ids(plan)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_ids_do_not_depend_on_the_order_of_keys(value):
    """Canonical JSON is one byte string whatever order the keys were written in, and that of JSON's own types."""

    def turned(part):
        if isinstance(part, dict):
            return {key: turned(part[key]) for key in reversed(list(part))}
        return [turned(each) for each in part] if isinstance(part, list) else part

    assert canonical_json(value) == canonical_json(turned(value))
    assert canonical_json(value) == msgspec.json.encode(plain(value), order="sorted")
    assert content_id(value) == content_id(turned(value))
    assert len(content_id(value)) == 24


def test_a_plan_of_more_trials_than_memory_holds_is_refused(simulated):
    """Before any of them is made."""
    with pytest.raises(ExperimentError, match=r"comes to 5,000,000,000 trials, 2,000,000 at most"):
        prepare(simulated(items=5, repeats=1_000_000_000), Path())
