"""A run as one document, whatever shows it: the sections in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.answer import make_answer
from taskpace.report.words.block import Block, Document
from taskpace.report.words.brevity import brevity_blocks
from taskpace.report.words.client import client_sentence
from taskpace.report.words.commands import RunFile, block_with_files, summary_with_files
from taskpace.report.words.cost import run_prices
from taskpace.report.words.effects import effect_blocks
from taskpace.report.words.imported import import_blocks, unfinished
from taskpace.report.words.loads import load_blocks
from taskpace.report.words.overall import overall_blocks
from taskpace.report.words.tasks import task_blocks

_SECTIONS: tuple[Callable[[Summary], Iterator[Block]], ...] = (
    task_blocks,
    effect_blocks,
    brevity_blocks,
    overall_blocks,
    load_blocks,
    import_blocks,
)
"""Each gives the blocks that the run has something for. Another section is another function here."""


def document(summary: Summary, file: RunFile = None) -> Document:
    """The answer and all sections of a run, finished or not; ``file``: of the run, for commands."""
    named = summary_with_files(summary, file)
    closing = filter(None, (run_prices(summary), client_sentence(summary)))
    return Document(
        title=summary.name,
        warnings=unfinished(summary),
        answer=make_answer(summary, file),
        blocks=tuple(block_with_files(block, file) for section in _SECTIONS for block in section(named)),
        closing=tuple(closing),
    )
