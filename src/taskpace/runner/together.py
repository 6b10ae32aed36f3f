"""Whether all systems of a plan can be open at once, so that they can take turns item by item."""

from __future__ import annotations

from taskpace import engines
from taskpace.experiment.plan import Cell, Plan, PlannedSystem
from taskpace.machine.host import gpu_memory_bytes, has_gpu
from taskpace.machine.memory import free_bytes

_PROCESS_BYTES = 250_000_000
"""Of a worker with its libraries."""
_CLIENT_BYTES = 50_000_000
"""Of one that only asks a server."""
_CONTEXT_TOKENS = 4096
"""Where a system does not say; as of the engine ``llamacpp``."""
_TOKEN_BYTES = 20_000
_TOKEN_SHARE = 1 / 40_000
"""Of the cache for keys and values, a token: 23 kB for SmolLM2 135M (98 MB, Q4_1) and 131 kB for Llama 3 8B (4.9 GB,
Q4_K_M) in 16 bits, from the models' own numbers of layers and heads; in between by the file's size."""
_USABLE = 0.85
"""Of what is free now."""


def why_not_together(plan: Plan) -> str | None:
    """Why some systems have to wait for others to be closed; null: nothing stands against it."""
    servers = [system.name for system in plan.systems if system.spec.options.get("server")]
    if len(servers) > 1 and has_gpu():
        return f"{' and '.join(servers)} start servers, each of which may need the whole GPU"
    unsized = [system.name for system in plan.systems if system.size_bytes is None and _loads_a_model(system)]
    if len(unsized) > 1 and has_gpu():
        return f"the sizes of {' and '.join(unsized)} are not known, and the GPU may not hold all"
    needed = sum(_memory_bytes(system, plan.cells) for system in plan.systems)
    held, gpu = sum(map(_loads_a_model, plan.systems)), gpu_memory_bytes()
    if held > 1 and gpu is not None and needed > _USABLE * gpu:
        return f"open at once they may need {needed / 1e9:.1f} GB, and the GPU has {gpu / 1e9:.1f} GB"
    free = free_bytes()
    if free is not None and needed > _USABLE * free:
        return f"open at once they may need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
    return None


def _loads_a_model(system: PlannedSystem) -> bool:
    entry = engines.entry(system.spec.engine)
    return entry.needs_model_file or entry.takes_model_file


def _memory_bytes(system: PlannedSystem, cells: tuple[Cell, ...]) -> int:
    """What a system may take of this machine's memory, from its file's size and its context; an upper guess."""
    if system.size_bytes is None:
        return _CLIENT_BYTES if engines.entry(system.spec.engine).remote else _PROCESS_BYTES
    in_flight = max((cell.scenario.concurrency for cell in cells if cell.system is system), default=1)
    context = system.spec.options.get("context")
    tokens = (context if isinstance(context, int) else _CONTEXT_TOKENS) * in_flight
    weights = system.size_bytes * engines.entry(system.spec.engine).memory_per_file_byte
    return round(_PROCESS_BYTES + weights + tokens * (_TOKEN_BYTES + system.size_bytes * _TOKEN_SHARE))
