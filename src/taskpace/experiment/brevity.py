"""The brevity experiment: the same systems and items with and without the request to be brief, and with a limit.

Verbosity is the one knob of speed that every user has. Each system becomes two or three that differ in nothing but the
system prompt and the limit, so everything that compares systems item by item shows what brevity does.
"""

from __future__ import annotations

import msgspec

from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import Experiment, System

INSTRUCTION = "Be brief: answer in as few words as you can, and leave out everything that was not asked for."
NEUTRAL = "You are a helpful assistant."
"""Of a system without a system prompt, so that the two differ in the request alone: many chat templates put one of
their own where there is none."""


def with_brevity(experiment: Experiment, instruction: str = INSTRUCTION, limit: int | None = None) -> Experiment:
    """The experiment with each system twice or three times: as it is, asked to be brief, and then with a limit.

    Args:
        experiment: whose systems are taken.
        instruction: the request, put after the system prompt.
        limit: most tokens of an answer, in the third form; null: no third form.

    Raises:
        ExperimentError: an empty instruction, a system that is a brief form already, or two would get one name.
    """
    if not instruction.strip():
        raise ExperimentError("--instruction: the text is empty: write what asks for brevity, or leave it out")
    for system in experiment.systems:
        if system.brief_of is not None:
            raise ExperimentError(
                f'system "{system.name}", key "brief_of": it is a brief form already: '
                "use `taskpace run`, or leave it out"
            )
    forms = [(system.name, _forms(system, instruction.strip(), limit)) for system in experiment.systems]
    systems = tuple(form for _, found in forms for form in found)
    names = [system.name for system in systems]
    for name in names:
        if names.count(name) > 1:
            raise ExperimentError(f'two systems would be called "{name}": give the first one another name')
    prices = {
        form.name: experiment.prices[name] for name, found in forms if name in experiment.prices for form in found
    }
    return msgspec.structs.replace(experiment, systems=systems, prices=prices)


def _forms(system: System, instruction: str, limit: int | None) -> list[System]:
    prompt = system.system_prompt or NEUTRAL
    plain = msgspec.structs.replace(system, system_prompt=prompt)
    brief = msgspec.structs.replace(
        plain, name=f"{system.name}, brief", system_prompt=f"{prompt.rstrip()}\n{instruction}", brief_of=system.name
    )
    if limit is None:
        return [plain, brief]
    least = min(limit, system.max_tokens or limit)
    return [
        plain,
        brief,
        msgspec.structs.replace(brief, name=f"{brief.name}, {least} tokens at most", max_tokens=least),
    ]
