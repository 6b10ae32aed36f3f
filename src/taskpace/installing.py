"""Commands that install what is missing, and that work where they are read.

An index may hold a distribution called taskpace that is not this project, and the ``pip`` of a shell may belong to
another environment than the process that prints the command. So a command names the libraries that an extra stands
for, as the installed distribution's metadata have them, and the interpreter that lacks them.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence

_OWN = "taskpace"
# A plain string: a type checker takes os.name for its own, and the code for others for unreachable.
_SYSTEM: str = os.name


def install_command(libraries: Sequence[str], extra: str | None, distribution: str = _OWN) -> str:
    """The command that installs optional libraries.

    Args:
        libraries: by the names that an index has for them.
        extra: of ``distribution``, that asks for them; null: they are asked for by themselves.
        distribution: whose extra it is.
    """
    return installer(_requirements(libraries, extra, distribution))


def installer(requirements: Sequence[str]) -> str:
    """The command that installs these into the environment of this process, quoted for the shell."""
    import shutil  # slow to import, and most processes miss nothing
    from importlib.util import find_spec

    python, wanted = _python(), " ".join(map(_quoted, requirements))
    if find_spec("pip") is not None:
        return f"{python} -m pip install {wanted}"
    if shutil.which("uv"):
        return f"uv pip install --python {_quoted(sys.executable)} {wanted}"
    return f"{python} -m ensurepip && {python} -m pip install {wanted}"


def _requirements(libraries: Sequence[str], extra: str | None, distribution: str) -> Sequence[str]:
    """What the extra asks for; where the metadata do not know it, another distribution's extra, or the libraries."""
    from importlib import metadata  # slow to import

    if extra is None:
        return libraries
    try:
        stated = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        stated = []
    of_extra = re.compile(rf"""(.+?)\s*;\s*extra\s*==\s*["']{re.escape(extra)}["']\s*""")
    found = [match[1] for match in map(of_extra.fullmatch, stated) if match]
    return found or (libraries if distribution == _OWN else [f"{distribution}[{extra}]"])


def _python() -> str:
    """The running interpreter as the shell finds it: by its bare name where that is the first in PATH."""
    import shutil

    for name in ("python", "python3"):
        found = shutil.which(name)
        if found and os.path.normcase(os.path.abspath(found)) == os.path.normcase(sys.executable):  # noqa: PTH100 - links are not followed
            return name
    return _quoted(sys.executable)


def _quoted(word: str) -> str:
    """As one word of the shell; cmd.exe knows double quotes alone, and ``>`` redirects outside of them."""
    if _SYSTEM != "nt":
        return shlex.quote(word)
    return word if re.fullmatch(r"[\w.:\\/\[\]-]+", word) else f'"{word}"'
