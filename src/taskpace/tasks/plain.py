"""Text made plain for reading answers: styled letters and mark-up reduced to what they stand for.

Every step of ``normalise`` keeps the length, so that positions stay those of the text.
"""

from __future__ import annotations

import re
import unicodedata

EDGE = " \t\n\r.,;:!?\"'“”‘’«»()[]{}"
"""White space and punctuation that says nothing at the edge of an answer."""
_LATEX_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|mathbf|mathrm|mathit|mathsf|rm|bf)[ ]{0,2}\{[ ]{0,2}([A-Za-z])[ ]{0,2}\}"
)
_LATEX_DELIMITER = re.compile(r"\\[()\[\]]")
_UNDERSCORES = re.compile(r"_+")
_BLANKED = {"*": " ", "`": " ", "$": " ", "\r": "\n"}
_LINE_ENDS = "\x85\u2028\u2029"
_FEW = 16


def normalise(text: str) -> str:
    """Full-width and styled letters made plain, mark-up blanked out; as long as before."""
    changed = dict(_BLANKED)
    if not text.isascii():
        for character in set(text):
            if character >= "\x80" and (plain := _plain_character(character)) != character:
                changed[character] = plain
    # One pass for each of a few characters is much faster than one translation of the text.
    if len(changed) > _FEW:
        text = text.translate({ord(character): plain for character, plain in changed.items()})
    else:
        for character, plain in changed.items():
            text = text.replace(character, plain)
    if "\\" in text:
        text = _LATEX_WRAPPER.sub(lambda found: found[1].center(len(found[0])), text)
        text = _LATEX_DELIMITER.sub("  ", text)
    if "_" in text:
        text = _UNDERSCORES.sub(_without_emphasis, text)
    return text


def _without_emphasis(found: re.Match[str]) -> str:
    """Underscores within a name or a formula stay, those around a word are mark-up."""
    before, after = found.string[max(0, found.start() - 1) : found.start()], found.string[found.end() : found.end() + 1]
    inside = (before.isalnum() or before == "\\") and (after.isalnum() or after == "{")
    return found[0] if inside else " " * len(found[0])


def _plain_character(character: str) -> str:
    if character in _LINE_ENDS:
        return "\n"
    if unicodedata.category(character) in ("Cf", "Zs"):
        return " "
    if character == "\u0130":  # the one character that gets longer in lower case
        return "I"
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


def fold(text: str) -> str:
    """For comparing: no case, no mark-up, single spaces, no punctuation at the edges."""
    return " ".join(normalise(text).casefold().split()).strip(EDGE)
