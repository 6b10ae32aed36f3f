"""Scorers ``translation`` (chrF and BLEU by sacrebleu) and ``summary`` (ROUGE by rouge-score), 0 to 1.

rouge-score drops every character that is not a-z or 0-9, so a text in Greek or Chinese has no words at all. Where the
reference has other letters, F-scores are over the words of ``taskpace.tasks.words`` instead, without stems: in scripts
without spaces every character is one.

Sources: Popovic (2015), "chrF: character n-gram F-score for automatic MT evaluation"; Papineni et al. (2002), "BLEU";
Lin (2004), "ROUGE"; Post (2018), "A Call for Clarity in Reporting BLEU Scores" (sacrebleu). The libraries are imported
when a text is judged: they are the extra ``quality``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec

from taskpace.tasks.plain import plain
from taskpace.tasks.scorers.base import Scored, Scorer, text_of, texts_of
from taskpace.tasks.words import count_words, words_of

_ONE_IN = 50
"""Letters beyond a to z that a text in English has at most."""
_MOST_CHARACTERS = 20_000
"""Of a summary; ROUGE-L takes time and memory by the product of two lengths."""


class TranslationOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a translation counts."""

    metric: Literal["chrf", "bleu"] = "chrf"
    """Which of the two decides; both are recorded."""
    least: float = 0.5
    """The score of a translation that counts, 0 to 1."""


class SummaryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a summary counts."""

    metric: Literal["rouge1", "rouge2", "rougeL"] = "rouge1"
    """Which F-score decides."""
    least: float = 0.35
    """The score of a summary that counts, 0 to 1."""
    most_words: int | None = None
    """A longer text is not a summary; null: any length."""


def chrf(text: str, references: Sequence[str]) -> float:
    """Of one text against one or more references: sacrebleu's ``sentence_chrf`` / 100."""
    return float(_chrf().sentence_score(text, list(references)).score) / 100


def bleu(text: str, references: Sequence[str]) -> float:
    """Sentence BLEU from 0 to 1, smoothed (exponential), as a sentence alone has few long n-grams."""
    return float(_bleu().sentence_score(text, list(references)).score) / 100


def rouge(text: str, reference: str, metric: str) -> float:
    """F-score of ``rouge1``, ``rouge2`` or ``rougeL``: over stems where the reference is in English letters."""
    scorer = _rouge(metric, english=reference.isascii() or _is_english(reference))
    return float(scorer.score(reference, text)[metric].fmeasure)


def too_long(text: str, options: SummaryOptions) -> str | None:
    """What is wrong with the length, or null."""
    words = count_words(text)
    if options.most_words is None or words <= options.most_words:
        return None
    return f"{words} words, at most {options.most_words} count"


@lru_cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


@lru_cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)


@lru_cache
def _rouge(metric: str, *, english: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([metric], use_stemmer=True, tokenizer=None if english else _Words())


class _Words:
    """A tokenizer, as rouge-score takes one."""

    def tokenize(self, text: str) -> list[str]:
        return words_of(plain(text).casefold())


def _is_english(text: str) -> bool:
    """Whether its letters are those of English but for a few, as in "café" or a name."""
    letters = [character for character in plain(text) if character.isalpha()]
    others = sum(character > "\x7f" for character in letters)
    return others * _ONE_IN <= len(letters)


def _accept_translation(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"references": texts_of(fields, "references")}


def _grade_translation(text: str, _: str | None, fields: dict[str, Any], options: TranslationOptions) -> Scored:
    if not text.strip():
        return Scored(outcome="unparsed", detail="no text")
    scores = {"chrf": chrf(text.strip(), fields["references"]), "bleu": bleu(text.strip(), fields["references"])}
    detail = f"chrF {100 * scores['chrf']:.1f}, BLEU {100 * scores['bleu']:.1f}"
    score = scores[options.metric]
    return Scored(outcome="correct" if score >= options.least else "wrong", score=score, detail=detail)


def _script_translation(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["references"][0], "xyzzy"


def _accept_summary(fields: dict[str, Any]) -> dict[str, Any]:
    text_of(fields, "reference")
    return fields


def _grade_summary(text: str, _: str | None, fields: dict[str, Any], options: SummaryOptions) -> Scored:
    if not text.strip():
        return Scored(outcome="unparsed", detail="no text")
    read = text[:_MOST_CHARACTERS]
    scores = {name: rouge(read, fields["reference"], name) for name in ("rouge1", "rouge2", "rougeL")}
    problem = too_long(text, options)
    detail = ", ".join(f"{name} {score:.2f}" for name, score in scores.items()) + (f"; {problem}" if problem else "")
    passed = scores[options.metric] >= options.least and problem is None
    return Scored(outcome="correct" if passed else "wrong", score=scores[options.metric], detail=detail)


def _script_summary(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["reference"], "xyzzy"


TRANSLATION = Scorer(
    version=1,
    extraction=None,
    needs=("references",),
    accept=_accept_translation,
    grade=_grade_translation,
    script=_script_translation,
    options=TranslationOptions,
    libraries=("sacrebleu",),
    extra="quality",
)
SUMMARY = Scorer(
    version=2,
    extraction=None,
    needs=("reference",),
    accept=_accept_summary,
    grade=_grade_summary,
    script=_script_summary,
    options=SummaryOptions,
    libraries=("rouge_score",),
    extra="quality",
)
