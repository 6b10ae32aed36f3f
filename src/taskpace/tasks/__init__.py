"""Tasks: task files, their data, prompts, extraction and scoring. Knows neither engines nor clocks.

A task is a TOML file: where the items come from, what is asked, how the answer is read and who judges it. The shipped
ones lie in ``library/``; adding one is one file there. Polars and jinja2 are imported by the functions that need them.
"""

from taskpace.tasks.data import open_source
from taskpace.tasks.items import Item, load_data, load_items
from taskpace.tasks.prompts import render
from taskpace.tasks.scoring import score, script
from taskpace.tasks.tables import Table
from taskpace.tasks.task import (
    DataSource,
    LeftOut,
    Task,
    TurnTemplate,
    load_task,
    prompts_task,
    shipped_tasks,
    task_identity,
    with_data,
    with_think_time,
)

__all__ = [
    "DataSource",
    "Item",
    "LeftOut",
    "Table",
    "Task",
    "TurnTemplate",
    "load_data",
    "load_items",
    "load_task",
    "open_source",
    "prompts_task",
    "render",
    "score",
    "script",
    "shipped_tasks",
    "task_identity",
    "with_data",
    "with_think_time",
]
