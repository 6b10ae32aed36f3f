"""What taskpace reports about itself as the one who measures."""

from __future__ import annotations

from collections.abc import Callable

from taskpace.analysis.schema.summary import Client, Summary
from taskpace.report.words.figures import digits


def client_sentence(summary: Summary) -> str:
    """The worst of all cells: loop lag, send delay, processor time, network; nothing where no time was real."""
    clients = [row.client for table in summary.tables for row in table.rows if row.n]

    def worst(read: Callable[[Client], float | None]) -> float | None:
        return max((value for value in map(read, clients) if value is not None), default=None)

    lag, delay = worst(lambda client: client.loop_lag_p99_s), worst(lambda client: client.send_delay_p99_s)
    # In process, the model's own time cannot be distinguished from the client's.
    alone = [client for client in clients if client.round_trip_s is not None]
    cpu = max((client.cpu_per_trial_s for client in alone if client.cpu_per_trial_s is not None), default=None)
    share = max((client.cpu_share for client in alone if client.cpu_share is not None), default=None)
    trip = worst(lambda client: client.round_trip_s)
    apart, nodes = worst(lambda client: client.clocks_apart_s), max((client.nodes for client in clients), default=1)
    if lag is None:
        return ""
    parts = [
        f"its event loop {_ms(lag)} late (p99)",
        f"requests sent {_ms(delay)} late (p99)" if delay else "",
        f"{_ms(cpu)} of processor time a trial, {100 * share:.0f} % of a core"
        if cpu is not None and share is not None
        else "",
        f"the network {_ms(trip)} there and back" if trip is not None else "",
        f"the clocks of {nodes} nodes that shared a load aligned to within {_ms(apart)}" if apart is not None else "",
    ]
    return "taskpace itself, at worst: " + ", ".join(part for part in parts if part) + "."


def _ms(value_s: float) -> str:
    return f"{digits(1e3 * value_s, 2)} ms"
