"""An importer of another distribution: what it gives is checked, and what it raises is one line that names it."""

from __future__ import annotations

import msgspec

from taskpace.errors import TaskpaceError
from taskpace.importing.base import Importer
from taskpace.importing.logs import Log
from taskpace.importing.source import Source
from taskpace.plugins import fault


def checked(importer: Importer, name: str, distribution: str) -> Importer:
    """``importer`` as it may be called: it raises nothing but ``TaskpaceError``, and its logs are what ``Log`` says."""
    who = f'importer "{name}" of {distribution}'

    def recognises(source: Source) -> bool:
        try:
            return bool(importer.recognises(source))
        except TaskpaceError:
            raise
        except Exception as exc:
            raise source.refuse(f"{who} failed to look at it: {fault(exc)}; --from names another") from exc

    def read(source: Source) -> tuple[Log, ...]:
        try:
            logs = importer.read(source)
        except TaskpaceError:
            raise
        except Exception as exc:
            raise source.refuse(f"{who} failed to read it: {fault(exc)}; repair or uninstall {distribution}") from exc
        try:
            # Bytes are kept as bytes, for else they would become text.
            return msgspec.convert(msgspec.to_builtins(logs, builtin_types=(bytes,)), tuple[Log, ...])
        except (msgspec.ValidationError, TypeError) as exc:
            raise source.refuse(f"{who} gives no logs: {fault(exc)}; repair or uninstall {distribution}") from None

    return msgspec.structs.replace(importer, recognises=recognises, read=read, distribution=distribution)
