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
_OUTER_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9\\])_+|_+(?![A-Za-z0-9{])")
_BLANKED = str.maketrans({"*": " ", "`": " ", "$": " ", "\r": "\n", "\u2028": "\n", "\u2029": "\n", "\x85": "\n"})


def normalise(text: str) -> str:
    """Full-width and styled letters made plain, mark-up blanked out; as long as before."""
    if not text.isascii():
        text = "".join(character if character < "\x80" else _plain_character(character) for character in text)
    text = text.translate(_BLANKED)
    if "\\" in text:
        text = _LATEX_WRAPPER.sub(lambda found: found[1].center(len(found[0])), text)
        text = _LATEX_DELIMITER.sub("  ", text)
    if "_" in text:
        text = _OUTER_UNDERSCORE.sub(lambda found: " " * len(found[0]), text)
    return text


def _plain_character(character: str) -> str:
    if unicodedata.category(character) in ("Cf", "Zs"):
        return " "
    if character == "\u0130":  # the one character that gets longer in lower case
        return "I"
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


def fold(text: str) -> str:
    """For comparing: no case, no mark-up, single spaces, no punctuation at the edges."""
    return " ".join(normalise(text).casefold().split()).strip(EDGE)
