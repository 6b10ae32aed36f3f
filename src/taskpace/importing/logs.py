"""What another tool's log says, in our terms: samples of one system on one task. Unknown is null, never 0."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from taskpace.experiment.scenario import Scenario
from taskpace.importing.values import MOST_SECONDS
from taskpace.records import MOST_COUNT, FinishReason

# Bounds are checked where another distribution's importer gives a log (taskpace.importing.foreign).
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]
ClockSeconds = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNT)]
Repeat = Annotated[int, msgspec.Meta(ge=1, le=MOST_COUNT)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class Moment(msgspec.Struct, frozen=True):
    """Something of an answer arrived."""

    seconds: Seconds
    """Since the request was sent."""
    visible_bytes: Bytes | None = None
    """UTF-8 bytes of the visible text so far; null: the log has times of tokens and not their text."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One item asked of one system once, and what the log reports about it."""

    item: str | None
    """What the log calls the item, the same in every log of the task; null: it has no names. Then the prompt shows
    which item it is, and without a prompt it is the item of no other sample."""
    repeat: Repeat | None = None
    """Counts from 1 (an epoch, ...); null: the n-th sample of an item in a log is its n-th repeat."""
    prompt: str | None = None
    """The user's message as it was sent; of several messages all of them."""
    text: str | None = None
    """The visible answer."""
    reasoning: str | None = None
    """What came before it and is not part of it; null: none, or not in the log."""
    started_s: ClockSeconds | None = None
    """When the request was sent, in seconds on a clock that all samples of the log share."""
    started_at: str | None = None
    """Wall-clock label, ISO 8601."""
    seconds: Seconds | None = None
    """From the request's sending to the last byte of its answer, as nearly as the log knows (``Log.times``)."""
    moments: tuple[Moment, ...] = ()
    """Of arrivals, in order: of the first token alone, of each token, or none."""
    until_last_token: bool = True
    """The seconds end with the answer's last token; false: they go on to the end of the stream, say, so that with a
    first moment alone there is no decode speed."""
    prompt_tokens: Count | None = None
    """Cached ones included."""
    output_tokens: Count | None = None
    """Reasoning included."""
    reasoning_tokens: Count | None = None
    """Of the output's."""
    cached_tokens: Count | None = None
    """Of the prompt's."""
    finish: FinishReason | None = None
    """``length``: the answer was cut by a token limit, and is recorded as truncated, whatever the log's score says."""
    error: str | None = None
    """What the log reports about a failed sample; null: it did not fail. A failed sample is kept, as an ``error``."""
    error_kind: str = "imported"
    """A word for grouping: ``timeout`` makes the outcome ``timeout``; ``http-429``, ``cancelled``, ..."""
    correct: bool | None = None
    """The log's own verdict; null: it gives none for this sample."""
    score: float | None = None
    """The log's own degree, 0 to 1."""
    answer: str | None = None
    """What the log read from the text as the answer."""
    reference: str | None = None
    """The right answer, as the log has it."""


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """What one log reports about one system on one task under one load."""

    tool: str
    """Its name for readers: ``Inspect``."""
    version: str | None
    """Of the tool that wrote it; null: the log does not say."""
    file: str
    """Name of the file, without its folder; of files that belong together that of the main one."""
    sha256: str
    """Of that file."""
    model: str
    """What the log calls what was tested."""
    task: str
    """What the log calls what was asked. Logs of one task are compared item by item."""
    samples: tuple[Sample, ...]
    """In the order in which the log has them, failed ones included and warm-ups left out."""
    missing: Count = 0
    """Samples that the log says were to be asked and does not have: they are planned and not recorded."""
    graded: bool
    """The log has verdicts; a sample without one is then ``unparsed``. Else those that ended are ``completed``."""
    scorer: str | None = None
    """What gave the verdicts, by the log's own name."""
    scenario: Scenario = Scenario(known=False)
    """The load that the log's settings say; as a rule not known."""
    system_prompt: str | None = None
    """Of every sample; null: none, or not in the log."""
    max_tokens: int | None = None
    """The limit that every answer had; null: none, or not in the log."""
    settings: dict[str, Any] = {}
    """Whatever else of the settings makes one system another: temperature, top_p, seed, ... Two logs whose settings
    differ are two systems."""
    times: str
    """What the seconds are of, for a reader, after "its times are of": ``the request until its last token, without
    retries``."""
    notes: tuple[str, ...] = ()
    """What else a reader must know: what was left out, what is named by another name, ..."""
