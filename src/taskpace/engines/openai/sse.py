"""Server-sent events out of a stream of bytes, however the network cut it. Pure.

The format is that of the HTML standard, section 9.2 (server-sent events): lines end in LF, CR or CRLF, an empty line
ends an event, ``data`` lines of one event are joined by line feeds, a line that begins with a colon is a comment, one
byte order mark at the start is dropped. Names, ids and retry times mean nothing here and are dropped.
"""

from __future__ import annotations

from taskpace.errors import EngineError

_BOM = b"\xef\xbb\xbf"
_BEGINS, _ENDS = b"data: ", b"\n\n"
"""An event, as nearly all are written."""
_FIELDS = (b"", b"event", b"id", b"retry")
_MOST_BESIDE = 10_000


class EventTooLongError(EngineError):
    """An event that does not end: more bytes than any answer's."""

    kind = "too-long"


class EventSplitter:
    """Takes bytes as they come, gives the data of each event that they complete.

    Args:
        most_bytes: of an event that has not ended yet; more raises ``EventTooLongError``, so memory stays bounded.
    """

    def __init__(self, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._at_start = True
        self._after_cr = False
        self._tail = b""
        """The last byte that is pending, again: an end of event may be cut in two."""
        self.beside = b""
        """The first bytes of lines that are none of an event's, as of an error that is sent as it stands."""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that end in ``data``. Raises ``EventTooLongError``."""
        if data.startswith(_BEGINS) and data.endswith(_ENDS) and not (self._pending or b"\r" in data):
            # Whole events with nothing before them, and of one line each: as nearly all reads bring them.
            events = data[len(_BEGINS) : -len(_ENDS)].split(_ENDS + _BEGINS)
            if data.count(b"\n") == len(_ENDS) * len(events):
                self._at_start = self._after_cr = False
                return events
        if self._at_start:
            data = self._without_bom(data)
        if not data:
            return []
        data = self._with_line_feeds(data)
        if not data:
            return []
        if b"\n\n" not in self._tail + data:
            self._keep(data)
            return []
        *ended, rest = (b"".join(self._pending) + data).split(b"\n\n")
        self._pending, self._pending_bytes, self._tail = [], 0, b""
        self._keep(rest)
        return [event for event in map(self._data, filter(None, ended)) if event is not None]

    def end(self) -> list[bytes]:
        """The data of a last event that the stream left without its empty line."""
        rest = b"".join(self._pending)
        self._pending, self._pending_bytes, self._tail = [], 0, b""
        event = self._data(rest)
        return [] if event is None else [event]

    def _keep(self, data: bytes) -> None:
        if data:
            self._pending.append(data)
            self._pending_bytes += len(data)
            self._tail = data[-1:]
        if self._pending_bytes > self._most_bytes:
            raise EventTooLongError(f"an event of more than {self._most_bytes} bytes")

    def _without_bom(self, data: bytes) -> bytes:
        data = b"".join(self._pending) + data
        self._pending, self._pending_bytes = [], 0
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._pending, self._pending_bytes = [data], len(data)
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Every line end as one line feed; a CRLF may be cut in two."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data

    def _data(self, event: bytes) -> bytes | None:
        """The data of an event's lines; null when it has none, such as a comment that keeps the connection alive."""
        if event.startswith(_BEGINS) and b"\n" not in event:
            return event[len(_BEGINS) :]
        found = []
        for line in event.split(b"\n"):
            field, colon, value = line.partition(b":")
            if field == b"data":
                found.append(value.removeprefix(b" ") if colon else b"")
            elif field not in _FIELDS and len(self.beside) < _MOST_BESIDE:
                # llama.cpp's server named errors so until the end of 2025: a field of its own, and JSON in it.
                self.beside += (value if field == b"error" else line)[:_MOST_BESIDE] + b"\n"
        return b"\n".join(found) if found else None
