"""``taskpace list``."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


@click.command("list")
@click.argument("what", type=click.Choice(["engines", "importers", "tasks", "models", "experiments"]))
def listing(what: str) -> None:
    """List the engines, importers, tasks, models or experiments there are."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    headings, rows = {
        "engines": _engines,
        "importers": _importers,
        "tasks": _tasks,
        "models": _models,
        "experiments": _experiments,
    }[what]()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


Rows = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]


def _engines() -> Rows:
    from taskpace.engines import ENGINES, is_ready
    from taskpace.installing import install_command

    rows = []
    for engine in ENGINES.values():
        missing = "" if engine.library is None or is_ready(engine) else engine.library
        ready = install_command((missing,), engine.extra, engine.distribution) if missing else "yes"
        rows.append((engine.name, ready, engine.summary))
    rows += [(each.name, "no", each.problem) for each in ENGINES.plugins() if each.problem is not None]
    return ("engine", "ready", "description"), rows


def _importers() -> Rows:
    from taskpace.importing.formats import FORMATS

    rows = [(name, importer.summary) for name, importer in FORMATS.items()]
    rows += [(each.name, each.problem) for each in FORMATS.plugins() if each.problem is not None]
    return ("--from", "logs"), rows


def _tasks() -> Rows:
    from taskpace.tasks import shipped_tasks

    rows = [(task.name, str(task.version), task.scorer or "none", task.description) for task in shipped_tasks()]
    return ("task", "version", "scorer", "what it asks"), rows


def _models() -> Rows:
    from taskpace.models import catalogue, is_cached

    rows = [
        (
            entry.name,
            f"{entry.size_bytes / 1e6:.0f} MB",
            entry.licence,
            "yes" if is_cached(entry.name) else "no",
            entry.description,
        )
        for entry in catalogue()
    ]
    return ("model", "size", "licence", "downloaded", "description"), rows


def _experiments() -> Rows:
    from taskpace.experiment.library import shipped

    return ("experiment", "description"), list(shipped().items())
