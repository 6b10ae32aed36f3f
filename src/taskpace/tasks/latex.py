r"""LaTeX made into plain text: fractions, powers, roots, spacing, boxes. One pass; braces nest to a bounded depth."""

from __future__ import annotations

import re

OPEN, SHUT = "\ue001", "\ue002"
"""Around what a text marks as its answer. Private characters: a text's own are taken out before."""

REPEATS = "\u0305"
"""In front of the decimals that repeat."""

_PIECE = re.compile(r"\\(?:[A-Za-z]+\*?|.)|[{}^_~]|[^\\{}^_~]+|\\", re.DOTALL)
_DEEPEST = 50
_WRAPPERS = frozenset(
    [
        "text",
        "textbf",
        "textit",
        "textrm",
        "textsf",
        "texttt",
        "emph",
        "mathbf",
        "mathrm",
        "mathit",
        "mathsf",
        "mathtt",
        "mathbb",
        "mathcal",
        "operatorname",
        "rm",
        "bf",
        "bm",
        "boldsymbol",
        "mbox",
        "hbox",
        "underline",
        "displaystyle",
        "textstyle",
    ]
)
_BOXES = frozenset({"boxed", "fbox", "framebox"})
_FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac"})
_BINOMIALS = frozenset(["binom", "dbinom", "tbinom"])
_UNSEEN = frozenset({"begin", "end", "color", "phantom", "label", "tag"})
_ARGUMENTS = (
    dict.fromkeys(_WRAPPERS | _BOXES | _UNSEEN | {"sqrt", "overline"}, 1)
    | dict.fromkeys(_FRACTIONS | _BINOMIALS, 2)
    | {"textcolor": 2}
)
_SIGNS = {
    "times": "×",
    "cdot": "×",
    "ast": "×",
    "div": "÷",
    "pm": "±",
    "approx": "≈",
    "le": "≤",
    "leq": "≤",
    "ge": "≥",
    "geq": "≥",
    "ne": "≠",
    "neq": "≠",
    "to": "=>",
    "rightarrow": "=>",
    "Rightarrow": "=>",
    "implies": "=>",
    "longrightarrow": "=>",
    "therefore": " therefore ",
    "quad": " ",
    "qquad": " ",
    "checkmark": "✓",
    "circ": "°",
    "degree": "°",
    "pounds": "£",
    "euro": "€",
}
_GONE = frozenset(["left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "limits", "nolimits"])
_SPACES = frozenset("()[]\\\n\t ;:")
_MERE = re.compile(r"\s*[-+]?[\d.,]+\s*")

_Frame = tuple[str, list[str], list[str]]
"""A command that waits for its arguments, those it has, and the pieces of the one that is open."""


def unfold(text: str) -> str:
    r"""``text`` with ``\frac{3}{4}`` as ``3/4``, ``10^{3}`` as ``10^3``, ``9{,}500`` as ``9,500``, boxes as marks."""
    frames: list[_Frame] = [("", [], [])]
    for found in _PIECE.finditer(text):
        piece = found[0]
        if piece == "{":
            _open(frames)
        elif piece == "}":
            _close(frames)
        elif piece[0] == "\\" and piece[1:].rstrip("*") in _ARGUMENTS and len(frames) < _DEEPEST:
            _begin(frames, piece[1:].rstrip("*"))
        elif piece in "^_" and len(frames) < _DEEPEST:
            _begin(frames, piece)
        else:
            _add(frames, _shown(piece))
    while len(frames) > 1:
        command, arguments, pieces = frames.pop()
        frames[-1][2].append(_made(command, [*arguments, "".join(pieces)]))
    return "".join(frames[0][2])


def _begin(frames: list[_Frame], command: str) -> None:
    frames.append((command, [], []))


def _waits(frames: list[_Frame]) -> bool:
    """Whether the innermost command has had no argument opened yet, or waits for its next."""
    return frames[-1][0] not in ("", "{") and frames[-1][2] == []


def _open(frames: list[_Frame]) -> None:
    if len(frames) < _DEEPEST:
        frames.append(("{", [], []))


def _close(frames: list[_Frame]) -> None:
    while len(frames) > 1:
        command, arguments, pieces = frames.pop()
        if command == "{":
            _take(frames, "".join(pieces))
            return
        # A command whose arguments did not come.
        frames[-1][2].append(_made(command, [*arguments, "".join(pieces)]))


def _take(frames: list[_Frame], argument: str) -> None:
    """Give an argument to the command that waits for it, and that command's text to the one around it."""
    while _waits(frames):
        command, arguments, _ = frames[-1]
        arguments.append(argument)
        if len(arguments) < _ARGUMENTS.get(command, 1):
            return
        frames.pop()
        argument = _made(command, arguments)
    pieces = frames[-1][2]
    if argument[:1].isdigit() and "/" in argument and pieces and pieces[-1][-1:].isdigit():
        pieces.append(" ")  # 1\frac{1}{2}
    pieces.append(argument)


def _add(frames: list[_Frame], piece: str) -> None:
    r"""Text: without braces a command takes the next character alone, as in ``\frac34`` and ``x^2``."""
    while piece and _waits(frames):
        stripped = piece.lstrip()
        if not stripped:
            return
        _take(frames, stripped[0])
        piece = stripped[1:]
    if piece:
        frames[-1][2].append(piece)


def _shown(piece: str) -> str:
    """What a command without arguments, or text, looks like."""
    if piece[0] != "\\":
        return " " if piece == "~" else piece
    name = piece[1:]
    if name in _SIGNS:
        return _SIGNS[name]
    if name in _GONE or name in {",", "!"}:
        return ""
    if name in _SPACES:
        return " "
    return name if len(name) == 1 and not name.isalpha() else f" {name} "


def _made(command: str, arguments: list[str]) -> str:
    """What a command makes of its arguments."""
    last = arguments[-1] if arguments else ""
    if command in _BOXES:
        return f" {OPEN}{last}{SHUT} "
    if command in _FRACTIONS:
        return "/".join(part.strip() if _MERE.fullmatch(part) else f"({part})" for part in arguments)
    if command == "sqrt":
        return f"√({last})"
    if command in _BINOMIALS:
        return f" binom({', '.join(arguments)})"
    if command == "overline":
        return f"{REPEATS}{last}" if last.strip().isdigit() else last
    if command == "^" and last.strip() == "°":
        return "°"
    if command in ("^", "_"):
        return command + last
    return "" if command in _UNSEEN else last
