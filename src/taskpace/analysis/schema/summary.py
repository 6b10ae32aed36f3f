"""What a summary is, as data: the JSON of ``taskpace summary --format json``, and all that a report needs to know.

Every struct here is part of a published schema (docs/summary-schema.json); ``SCHEMA_VERSION`` is raised when a field
goes or changes its meaning. Times are in seconds, unknown is null, and a ``Estimate`` carries its 95 % interval.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from taskpace.analysis.across.sweeps import Sweep
from taskpace.analysis.data.costs import Missing
from taskpace.analysis.schema.across import Brevity, Effect, Load, Overall
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.pairs import Pair
from taskpace.analysis.table.phases import Phases, Spread
from taskpace.analysis.table.settled import Settled
from taskpace.experiment.imported import Unknown
from taskpace.prices.price import Price
from taskpace.records import Outcome

SCHEMA_VERSION = 5


Invalidates = Literal[
    "result",
    "claims between systems",
    "token counts",
    "decode speed",
    "makespan",
    "absolute seconds",
    "full task time",
    "certainty",
]


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """What limits the claims that a cell's numbers allow, and how."""

    code: str
    """A word for programs: ``client-lag``, ``send-delay``, ``client-cpu``, ``late-stamps``, ``clocks``,
    ``cached-prompts``, ``resumed``, ``drift``, ``steal``, ``throttled``, ``gpu-throttled``, ``foreign-tokens``,
    ``miscounted``, ``same-prompt-tokens``, ``bursts``, ``hidden-reasoning``, ``truncated``, ``timeouts``, ``errors``,
    ``suspended``, ``not-run``, ``missing`` (from an imported log), ``too-few``."""
    text: str
    remedy: str
    """What to do. In its commands ``RUN`` stands for the run file and ``NEW`` for a run file to be made."""
    invalidates: Invalidates
    """What it leaves nothing of. ``result``: everything, the row is INVALID and not ranked. ``claims between systems``:
    comparisons with systems that it did not take turns with; its own numbers stand. ``token counts``: what is counted
    in tokens. ``decode speed``: tokens and bytes per second, TPOT and the parts of a difference, which are null.
    ``makespan``: the makespan alone. ``absolute seconds``: the seconds hold for this machine as it was then;
    comparisons with systems that it took turns with stand. ``full task time``: of cut answers only a lower bound is
    known, of those during which taskpace itself stood still only an upper one, so times and lengths may be bounds;
    comparisons allow for it. ``certainty``: nothing; there are few items or
    trials are missing, so less can be claimed."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A failure signature that was recognised, or a caveat that a reader should know."""

    code: str
    """A word for programs: ``verbose``, ``unpredictable``, ``truncated``, ``tokenizers``, ``waiting``,
    ``committed-early``, ``overloaded``, ``retried``, ``few-batches``, ``few-items``, ``few-correct``, ``heavy-tail``,
    ``outliers``, ``never-answered``, ``no-answer``, ``order``, ``ramp``, ``anchors``, ``nodes``, ``left-out``,
    ``server-defaults``, ``grader-failed``, ``imported``, ``imported-apart``; and as of
    reasons ``bursts``, ``hidden-reasoning``, ``miscounted``, ``same-prompt-tokens``."""
    text: str
    evidence: dict[str, float]
    remedy: str
    """As of a ``Reason``."""


class SolvePoint(msgspec.Struct, frozen=True):
    """A point of the solve curve."""

    deadline_s: float
    share: Estimate
    """Of items, answered correctly within the deadline."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """How taskpace itself fared while it measured. Null: not known, as everything is in virtual time."""

    loop_lag_p99_s: float | None = None
    """How late the event loop woke up, 99th percentile, of the trials in flight: of the worst segment."""
    loop_lag_max_s: float | None = None
    """The greatest lag."""
    send_delay_p99_s: float | None = None
    """How much later than due a request left; nearest rank over the trials. Always 0 in a closed loop."""
    send_delay_max_s: float | None = None
    """The greatest delay."""
    round_trip_s: float | None = None
    """Of the network, to the server and back; null for an engine in process."""
    cpu_per_trial_s: float | None = None
    """Processor time of the worker process / trials; of an engine in process that is the model's own time, too."""
    cpu_share: float | None = None
    """Processor time of the worker process / wall time: 1 is one core at work all the time."""
    peak_rss_bytes: int | None = None
    """Memory of the worker process, the most in this cell; with the model where it is in process."""
    device_peak_bytes: int | None = None
    """Memory of the GPU that the engine had in use, the most in this cell; null without one."""
    nodes: int = 1
    """Machines that shared the load."""
    clocks_apart_s: float | None = None
    """By how much the clocks of two of them may be apart, once what is known of that has been taken off; null: one
    machine had the load."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """What the cell's trials took, warm-ups left out. Gross: all that the counters counted; net: less the mean of the
    idle power before and after (model loaded, nothing to do) times the duration; null where that is not known.
    """

    counters: tuple[str, ...]
    """What was read, by name."""
    covers: tuple[Literal["GPU", "CPU package"], ...]
    """What these stand for: neither the power supply nor the rest of the machine."""
    kind: Literal["measured", "allocated"]
    """Measured: one task at a time, so that the energy between was the tasks' own. Allocated: tasks ran together, and
    each is given an equal share."""
    seconds: float
    """How long was counted: first dispatch to last end, with what lies between trials."""
    gross_j: float
    """Of the whole cell, in joules."""
    net_j: float | None
    """``gross_j`` less the idle power of the window; null: unknown."""
    gross_per_task_j: float
    """Joules / recorded trials."""
    net_per_task_j: float | None
    """``net_j`` / recorded trials; null: unknown."""
    gross_per_correct_j: Estimate
    """Joules / number correct; the interval is the accuracy's."""
    net_per_correct_j: Estimate
    """``net_j`` / recorded trials; null: unknown."""
    temperature_max_c: float | None
    """Of a GPU, looked at once a second, in degrees Celsius."""
    throttling: tuple[str, ...]
    """What held a GPU's clock back at any of those moments."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the cell's trials cost by the system's price: warm-ups left out, wrong, cut and failed answers counted."""

    total_usd: float | None
    """US dollars; null: that of some trial is unknown, and with it all other numbers here."""
    per_task_usd: Estimate
    """US dollars / recorded trials."""
    per_correct_usd: Estimate
    """US dollars of all trials / number correct, as ``time_per_correct_s`` (cost-of-pass, Erol et al. 2025)."""
    missing: dict[Missing, int]
    """Trials whose cost is unknown, by why: ``failed`` (an attempt failed after it was sent, tokens unknown),
    ``uncounted`` (no counts that can be believed), ``too-long`` (beyond what the price holds for), ``no-time``,
    ``no-makespan`` (of a price by the hour, several in flight)."""
    cached_unknown: int
    """Trials whose cached tokens are not reported, though the price has a discount for it: they count at the
    full price, so they cost at most what is given here."""
    absent: int
    """Samples that an imported log lacks: what they cost is in none of these numbers."""
    kind: Literal["measured", "allocated"]
    """Allocated: by the hour with several in flight, so that each is given its share of the makespan."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What an open loop piled up. From scheduled arrival to last byte a trial counts as in flight."""

    in_flight_mean: float
    """Over time, from the first arrival to the last end."""
    in_flight_max: int
    """The most at once."""
    unfinished_at_last_arrival: int
    """How many had not ended when the last one arrived."""
    growth: float | None
    """Task time in the last third of the arrivals / in the first (geometric means); null with too few."""
    growth_p: float | None
    """Of Welch's t-test on the logarithms. Waiting times of neighbours go together, so it is a rough guide."""


class MeasuredRow(msgspec.Struct, frozen=True, kw_only=True):
    """One cell by itself. Task times are over all trials: cut answers and errors took at least what was recorded, so a
    median or a mean may be a bound (``>=``). Other medians are over trials without an error.
    """

    system: str
    valid: bool
    reasons: tuple[Reason, ...]
    planned: int
    n: int
    """Trials recorded."""
    items: int
    """Different items among them: the sample size of every interval, but those of times in static batches."""
    batches: int | None
    """How many static batches these were: the units of every interval and rank of times, in place of the items, as the
    trials of a batch share its time. Null for other scenarios."""
    retried: int
    """How many of them took more than one attempt; their time runs from the first dispatch."""
    outcomes: dict[Outcome, int]
    cut: int
    """Trials that were truncated, timed out or ended in an error: of their full time only a lower bound is known."""
    never_answered: int
    """Trials that reasoned until the token limit or the time limit, and whose last turn shows no text."""
    task_time_median_s: Estimate
    task_time_mean_s: Estimate
    phases: Phases | None
    """Where the mean time of the trials without an error goes; null without task times."""
    task_time_p90_s: Estimate
    """From 64 trials on; p95 from 130, p99 from 662 (``estimates.samples_for``)."""
    task_time_p95_s: Estimate
    task_time_p99_s: Estimate
    ttft_median_s: Estimate
    first_answer_median_s: Estimate
    committed_median_s: Estimate
    tpot_median_s: Estimate
    tokens_per_s_median: Estimate
    """Decode speed."""
    bytes_per_s_median: Estimate
    output_tokens_median: Estimate
    output_tokens_mean: Estimate
    """Tokens per task: of all trials whose tokens are known; with cut answers a lower bound."""
    tokens_per_correct: Estimate
    """Tokens of all trials / number correct, as ``time_per_correct_s``; a lower bound where errors wrote some, too."""
    output_bytes_median: Estimate
    reasoning_bytes_median: Estimate
    written_bytes: Spread | None
    """Of visible text and reasoning together; null without trials."""
    bytes_per_output_token: Estimate
    """Bytes written / output tokens, of all trials: the tokenizer's efficiency on what the system writes."""
    bytes_per_prompt_token: Estimate
    """Bytes of the user's messages / prompt tokens (with chat template and system prompt, as the model gets them)."""
    cached_between_turns_share: float | None
    """Of the prompt tokens of second and later turns, the share that came from a cache, as a conversation's own past
    may; null where it is not reported, and without later turns."""
    accuracy: Estimate
    """Correct / recorded; unknown for a task without a right answer."""
    score_mean: Estimate
    """Mean of the scorer's degree, 0 to 1 (chrF, ROUGE, token F1, share of demands, ...), over trials with one;
    unknown where the scorer gives none."""
    time_per_correct_s: Estimate
    """Seconds of all trials / number correct. Exact under a limit: the time was spent and nothing correct came of it.
    With 0 correct it is a lower bound: at 95 %, seconds per trial / (1 - 0.05^(1/items))."""
    par2_s: Estimate
    """Mean of the task time if correct, else twice the table's limit."""
    solve_curve: tuple[SolvePoint, ...]
    makespan_s: float | None
    """First dispatch to last end; null when the cell was interrupted."""
    tasks_per_hour: float | None
    """Recorded trials / makespan."""
    goodput: Estimate
    """Share of recorded trials that ended correctly (where there is no right answer: completed) within the deadline;
    unknown without one."""
    client: Client
    """How taskpace itself fared."""
    backlog: Backlog | None
    """Of an open loop that one worker carried out whole; else null."""
    energy: Energy | None
    """Null: not asked for, or not available."""
    energy_missing: str | None
    """Why joules, or a part of them, are missing; null: nothing is missing, or energy was not asked for."""
    price: Price | None
    """Of the system; null: none was given."""
    cost: Cost | None
    """By that price; null without one."""


class SystemRow(MeasuredRow, frozen=True, kw_only=True):
    """One cell, beside the others of its table."""

    rank_task_time: int | None
    """1 + how many valid systems are claimed to be quicker (``Comparison.lower``); null for an invalid row, and for
    one that has no items in common with the others, or none in one session. Likewise the others."""
    rank_tokens_per_s: int | None
    rank_time_per_correct: int | None
    rank_cost_per_correct: int | None
    """Rank by cost per correct answer; null too without a price, and where a cost is unknown."""
    findings: tuple[Finding, ...]


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far the ranking by tokens per second and the ranking by task time agree: 1 the same, -1 reversed."""

    systems: int
    kendall_tau_b: Estimate
    spearman_rho: Estimate


class ImportedCell(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cell comes from that another tool measured."""

    system: str
    """The system's name."""
    task: str
    """The task's name."""
    scenario: str
    """The load; ``load unknown`` where the log does not say it."""
    by: str
    """The tool, with its version where that is known."""
    file: str
    """The log's name."""
    sha256: str
    """Of the log."""
    times: str
    """What its seconds hold, in words."""
    unknown: tuple[Unknown, ...]
    """What the log does not have: ``time``, how long its samples took; ``text``, what was answered; ``start``, when
    they were sent, so that there is no makespan."""
    notes: tuple[str, ...]
    """What else is special about it."""


class TaskTable(msgspec.Struct, frozen=True, kw_only=True):
    """The systems on one task in one scenario."""

    task: str
    scenario: str
    par2_limit_s: float | None
    """L in PAR-2: the experiment's time limit; null: all systems are imported, and there is none."""
    rows: tuple[SystemRow, ...]
    """In the experiment's order."""
    pairs: tuple[Pair, ...]
    """Every two systems; ``a`` is the one that the data favour as the quicker (``Comparison.leaning``), claimed or not.
    Adjusted p-values are over the pairs of valid systems that can be compared."""
    agreement: Agreement | None
    """Over the valid systems without cut answers, if there are three or more."""
    findings: tuple[Finding, ...]
    """What concerns several systems."""
    frontier: tuple[str, ...]
    """Valid systems that no other beats in both time and cost per correct answer, by their values, the quickest first;
    empty without prices."""
    settled: Settled | None = None
    """Of a run that ends when its ranking is settled; then every interval of a pair is one that one may stop by. Null:
    the number of items was fixed beforehand."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers."""

    schema_version: int
    name: str
    planned: int
    done: int
    deadline_s: float | None
    """For goodput; null: none was given."""
    resamples: int
    """Of the bootstrap; 0: none, so no probability of inversion and no interval of an agreement."""
    tables: tuple[TaskTable, ...]
    sweeps: tuple[Sweep, ...]
    """Systems that differ in one setting alone, such as the temperature."""
    effects: tuple[Effect, ...]
    """What that setting does, task by task."""
    brevity: tuple[Brevity, ...]
    """Where systems differ in the request to be brief, as `taskpace brevity` makes them: what it does, by task."""
    overall: tuple[Overall, ...]
    """Over the tasks, one for each scenario with two or more tasks that have right answers."""
    loads: tuple[Load, ...]
    """Systems under several loads of one kind."""
    imported: tuple[ImportedCell, ...] = ()
    """The cells that another tool measured; empty: taskpace measured all."""
