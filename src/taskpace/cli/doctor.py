"""``taskpace doctor``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from taskpace.plugins import Plugin


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def doctor(as_json: bool) -> None:
    """Show what this machine has, what is installed, what is missing and how to get it."""
    from taskpace import models
    from taskpace.engines import ENGINES, looked_at
    from taskpace.importing.formats import FORMATS
    from taskpace.machine import energy, host
    from taskpace.plugins import unknown_groups
    from taskpace.tasks.extractors import EXTRACTIONS
    from taskpace.tasks.scorers import SCORERS

    groups = [registry.group for registry in (ENGINES, SCORERS, EXTRACTIONS, FORMATS)]
    plugins = [
        *map(looked_at, ENGINES.plugins()),
        *(plugin for registry in (SCORERS, EXTRACTIONS, FORMATS) for plugin in registry.plugins()),
        *unknown_groups(groups),
    ]
    machine, clock, extras, joules = host.describe(), host.clock_resolution(), host.extras(), energy.find()
    counters = [counter.name for counter in joules.counters]
    if as_json:
        facts = {
            "host": machine,
            "clock": clock,
            "extras": extras,
            "energy_counters": counters,
            "energy_missing": joules.missing,
            "plugins": [plugin._asdict() for plugin in plugins],
            "model_cache": str(models.cache_folder()),
        }
        click.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    console = Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in {**_flat(msgspec.to_builtins(machine)), **_flat(msgspec.to_builtins(clock))}.items():
        table.add_row(name.replace("_", " "), Text(value))
    table.add_row("model cache", Text(str(models.cache_folder())))
    table.add_row("energy", Text("; ".join((*counters, *joules.missing))))
    console.print(table)
    console.print()
    parts = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("extra", "installed", "what it enables"):
        parts.add_column(heading, overflow="fold")
    for extra in extras:
        parts.add_row(extra.name, Text("yes" if extra.installed else f"no: {extra.install}"), Text(extra.enables))
    console.print(parts)
    if plugins:
        console.print()
        console.print(_plugin_table(plugins))


def _plugin_table(plugins: Sequence[Plugin]) -> Table:
    """What other distributions add, and what is wrong with it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("plug-in", "from", "usable"):
        table.add_column(heading, overflow="fold")
    for plugin in plugins:
        usable = "yes" if plugin.problem is None else plugin.problem
        table.add_row(Text(f"{plugin.what} {plugin.name}"), Text(plugin.distribution), Text(usable))
    return table


def _flat(facts: dict[str, object]) -> dict[str, str]:
    """Nested facts as ``name: text``; what is unknown is "unknown"."""
    rows: dict[str, str] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            rows[name] = ", ".join(f"{key} {part}" for key, part in value.items() if part is not None) or "unknown"
        elif isinstance(value, list | tuple):
            rows[name] = ", ".join(str(part) for part in value) or "none"
        elif name.endswith("_bytes") and isinstance(value, int):
            rows[name.removesuffix("_bytes")] = f"{value / 1e9:.1f} GB"
        elif isinstance(value, float):
            rows[name] = f"{value:g}"
        elif isinstance(value, bool):
            rows[name] = "yes" if value else "no"
        else:
            rows[name] = "unknown" if value is None else str(value)
    return rows
