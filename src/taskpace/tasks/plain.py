r"""One normaliser for every grader: what typography, mark-up and LaTeX stand for, in plain characters.

``plain`` composes Unicode (NFKC), and makes full-width and styled forms, other digits, quotes, dashes, brackets and
sentence marks into their ASCII forms; Markdown and LaTeX become what a reader sees. What marks an answer as the answer
(``\boxed{}``, ``<answer>``, GSM8K's ``####``) stands between ``OPEN`` and ``SHUT``. Takes time proportional to the
length of the text.

Source: Unicode Standard Annex 15 (NFKC).
"""

from __future__ import annotations

import re
import unicodedata

from taskpace.tasks.latex import OPEN, SHUT, unfold

__all__ = ["EDGE", "OPEN", "SHUT", "composed", "fold", "plain"]

EDGE = " \t\n\r.,;:!?\"'()[]{}" + OPEN + SHUT
"""White space and punctuation that shows nothing at the edge of a plain text."""
_LONG_RUN = re.compile(r"([^\w\s\x00-\u02ff]{30})[^\w\s\x00-\u02ff]+")
"""Marks in a row beyond what a character of any language has: composing them takes time by the square of their number
(the Stream-Safe Text Format of the same annex)."""
_RAISED = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_VULGAR = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞])")
_SIGNS = {
    **dict.fromkeys("‘’‚‛‹›′`´ʼ", "'"),
    **dict.fromkeys("“”„‟«»″「」『』《》〈〉", '"'),
    **dict.fromkeys("‐‑‒–−﹣", "-"),
    **dict.fromkeys("—―─", " - "),
    **dict.fromkeys("【〔", "["),
    **dict.fromkeys("】〕", "]"),
    **dict.fromkeys("。।॥۔։።", "."),
    **dict.fromkeys("、،", ","),
    **dict.fromkeys("·∙⋅", "×"),
    **dict.fromkeys("→⇒⟹➜➔", "=>"),
    **dict.fromkeys("\x85\u2028\u2029", "\n"),
    "؛": ";",
    "؟": "?",
    "¿": "",
    "¡": "",
    "⁄": "/",
    "∕": "/",
    "٫": ".",
    "٬": ",",
    "\u0130": "I",  # the one character that gets longer in lower case
}
_DROPPED = ("Cf", "Cs", "Co")
_MARK_UP = re.compile(r"[`*_~<$\\{]|^[ \t]*[#>]", re.MULTILINE)
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]{0,19})\s?/?>")
_MARKED_NUMBER = re.compile(r"^[ \t]*####[ \t]*([^\n]{1,80})$", re.MULTILINE)
_LETTER = re.compile(r"[^\W\d_]")
_LINE_LEAD = re.compile(r"^[ \t]*(?:#{1,6}(?=\s)|>)[ \t>]*", re.MULTILINE)
_POWER = re.compile(r"(?<=\d)\*\*(?=\d)")
_TIMES = re.compile(r"(?<=[\d)])[ \t]?\*[ \t]?(?=[\d(])|(?<=[ \t])\*(?=[ \t]\S)(?<=\S[ \t]\*)")
_EMPHASIS = re.compile(r"\*+|`+|~~+|(?<![^\W_])_+|_+(?![^\W_])")
_GROUPED = re.compile(r"[\^_$]\{|\{,\}")
_DOLLAR = re.compile(r"\$(?!-?[\d.])")
_FORMS = ("answer", "final_answer", "finalanswer", "final")


def plain(text: str) -> str:
    """``text`` as a reader takes it in."""
    text = composed(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _MARK_UP.search(text) is None:
        return text
    if "<" in text:
        text = _TAG.sub(_read_tag, text)
    if "####" in text:
        text = _MARKED_NUMBER.sub(_read_mark, text)
    if "\\" in text or ("{" in text and _GROUPED.search(text)):
        text = unfold(text)
    if "$" in text:
        text = _DOLLAR.sub(" ", text)
    if "*" in text:
        text = _TIMES.sub("×", _POWER.sub("^", text))
    return _EMPHASIS.sub("", _LINE_LEAD.sub("", text))


def composed(text: str) -> str:
    """``text`` in plain characters, its mark-up left as it is."""
    if text.isascii():
        return text
    text = _LONG_RUN.sub(r"\1", text)
    text = _RAISED.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]).replace("\u2212", "-"), text)
    text = _VULGAR.sub(" ", text)
    text = unicodedata.normalize("NFKC", text.translate({0x85: "\n", ord("\u00b4"): "'"}))
    changed = {ord(sign): form for sign in set(text) if (form := _form(sign)) is not None}
    return text.translate(changed) if changed else text


def fold(text: str) -> str:
    """For comparing: plain, no case, single spaces, no punctuation at the edges."""
    return " ".join(plain(text).casefold().split()).strip(EDGE)


def _form(sign: str) -> str | None:
    """What stands for a character, or null where it stands for itself."""
    if sign in _SIGNS:
        return _SIGNS[sign]
    if sign < "\x80":
        return None
    category = unicodedata.category(sign)
    if category in _DROPPED:
        return ""
    if category == "Zs":
        return " "
    return str(unicodedata.decimal(sign)) if category == "Nd" else None


def _read_tag(found: re.Match[str]) -> str:
    if found[2].lower() in _FORMS:
        return SHUT if found[1] else OPEN
    return " "


def _read_mark(found: re.Match[str]) -> str:
    """``#### 42`` marks an answer; ``#### Step 1`` is a heading."""
    return found[1] if _LETTER.match(found[1]) else f"{OPEN}{found[1]}{SHUT}"
