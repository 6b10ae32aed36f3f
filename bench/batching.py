"""A server with continuous batching whose every step is known: what predictions under load are held against."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import polars as pl


class Truth(NamedTuple):
    """What a server is made of; seconds."""

    name: str
    wait_s: float
    """On the way to it."""
    prompt_token_s: float
    """Longer is the step in which it is read, for all."""
    step_s: float
    other_s: float
    """Longer is a step for every answer after the first that it writes."""
    slots: int
    noise: float = 0.0
    """Standard deviation of the logarithm of a step's time."""


SERVERS = (
    Truth("two cores", 0.003, 0.003, 0.010, 0.006, 8),
    Truth("two cores, noisy", 0.003, 0.003, 0.010, 0.006, 8, 0.15),
    Truth("a GPU", 0.010, 0.00005, 0.008, 0.0001, 8),
    Truth("three slots", 0.003, 0.003, 0.010, 0.006, 3),
    Truth("far away", 0.200, 0.0, 0.015, 0.0, 8),
)


def questions(rng: np.random.Generator, task: str, items: int, longest: int) -> pl.DataFrame:
    """Trials whose times are not yet known: prompts of 30 to 300 tokens, a third of the answers a few tokens long."""
    short = rng.random(items) < 1 / 3
    return pl.DataFrame(
        {
            "task": [task] * items,
            "item_id": [f"{task} {number}" for number in range(items)],
            "outcome": ["correct"] * items,
            "trial_position": range(items),
            "turns": [1] * items,
            "prompt_tokens": rng.integers(30, 300, items),
            "cached_tokens": [0] * items,
            "first_cached_tokens": [0] * items,
            "output_tokens": np.where(short, rng.integers(1, 4, items), rng.integers(4, longest, items)),
            "session": [1] * items,
            "worker": [1] * items,
        },
        schema_overrides={"trial_position": pl.Int64, "turns": pl.Int64},
    )


def asked(trials: pl.DataFrame, truth: Truth, in_flight: int, rng: np.random.Generator) -> pl.DataFrame:
    """The trials with the times that the server gives them in a closed loop, in their order."""
    prompts, left = trials["prompt_tokens"].to_list(), deque(range(trials.height))
    coming: list[tuple[float, int]] = []
    queue: deque[int] = deque()
    writing: dict[int, int] = {}
    sent, first, end = (np.zeros(trials.height) for _ in range(3))
    now = 0.0

    def send() -> None:
        if left:
            sent[left[0]] = now
            coming.append((now + truth.wait_s, left.popleft()))

    for _ in range(in_flight):
        send()
    while coming or queue or writing:
        coming.sort()
        while coming and coming[0][0] <= now:
            queue.append(coming.pop(0)[1])
        new = [queue.popleft() for _ in range(min(truth.slots - len(writing), len(queue)))]
        if not new and not writing:
            now = max(now, coming[0][0])
            continue
        took = truth.step_s + truth.other_s * max(len(writing) - 1, 0)
        took += truth.prompt_token_s * sum(prompts[trial] for trial in new)
        now += took * (rng.lognormal(0, truth.noise) if truth.noise else 1.0)
        writing = {trial: tokens - 1 for trial, tokens in writing.items()}
        for trial in new:
            first[trial] = now
            writing[trial] = trials["output_tokens"][trial] - 1
        for trial in [trial for trial, tokens in writing.items() if tokens == 0]:
            end[trial] = now
            del writing[trial]
            send()
    return trials.with_columns(
        task_time_s=pl.Series(end - sent),
        wait_s=pl.Series(first - sent),
        dispatch_ns=pl.Series(sent * 1e9).cast(pl.Int64),
        end_clock_ns=pl.Series(end * 1e9).cast(pl.Int64),
        late=pl.lit(value=False),
        untimed=pl.lit(value=False),
    )
