"""An experiment as the file that makes it again."""

from __future__ import annotations

from typing import Any

import msgspec
import tomli_w

from taskpace.experiment.experiment import Experiment, System, TaskUse
from taskpace.prices.price import Price
from taskpace.text.secrets import without_secrets


def experiment_toml(experiment: Experiment) -> str:
    """TOML that ``load_experiment`` reads as this experiment; sweeps stand unfolded, one table for each system.

    Relative paths stay as they were given: they start from the folder of the experiment file. Keys and passwords are
    left out, with a mask in their place.
    """
    file: dict[str, Any] = {"name": experiment.name}
    file |= {key: value for key in ("items", "max_tokens") if (value := getattr(experiment, key)) is not None}
    file |= {key: getattr(experiment, key) for key in ("seed", "repeats", "warmup")}
    file["timeout"] = experiment.timeout_s
    if experiment.deadline_s is not None:
        file["deadline"] = experiment.deadline_s
    file |= {
        key: value
        for key, usual in (("retries", 0), ("processes", 1), ("energy", False), ("resources", {}))
        if (value := getattr(experiment, key)) != usual
    }
    file["tasks"] = [_task(task) for task in experiment.tasks]
    file["scenarios"] = [scenario.name for scenario in experiment.scenarios]
    file["system"] = [_system(system, experiment.prices.get(system.name)) for system in experiment.systems]
    return tomli_w.dumps(file)


def _task(task: TaskUse) -> Any:
    given = {key: value for key, value in msgspec.to_builtins(task).items() if value is not None}
    return given["use"] if list(given) == ["use"] else given


def _system(system: System, price: Price | None) -> dict[str, Any]:
    table: dict[str, Any] = {"name": system.name, "engine": system.engine, "model": system.model}
    if system.system_prompt is not None:
        table["system_prompt"] = system.system_prompt
    table |= {"temperature": system.sampling.temperature, "top_p": system.sampling.top_p}
    if system.sampling.seed is not None:
        table["seed"] = system.sampling.seed
    table |= {key: value for key in ("max_tokens", "brief_of") if (value := getattr(system, key)) is not None}
    if price is not None:
        table["price"] = _without_null(msgspec.to_builtins(price))
    if system.options:
        # The file is passed on with the report.
        table["options"] = without_secrets(_without_null(system.options))
    return table


def _without_null(value: Any) -> Any:
    """TOML has none; an option that is null is as good as one not given."""
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value
