"""Answers that are none: what the server says, which option to change, and whether to expect the same again. Pure."""

from __future__ import annotations

from taskpace.engines.base import Stamps
from taskpace.engines.openai.answer import server_error
from taskpace.engines.openai.complaint import NO_WORD, Complaint, complaint_of, one_line, refusal
from taskpace.engines.openai.fields import remedy
from taskpace.engines.openai.http.coding import MOST_BYTES, READABLE, plain, unpacked
from taskpace.engines.openai.http.connection import Answer
from taskpace.engines.openai.http.target import Target
from taskpace.engines.openai.models import beside
from taskpace.engines.openai.options import Options
from taskpace.engines.openai.preflight import Found, key_remedy
from taskpace.errors import EngineError
from taskpace.records import Refusal
from taskpace.text.secrets import Secrets

_MOST = 10_000
"""Bytes of an error that are read."""
_MOST_DIGITS = 7
_BAD, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _UNPROCESSABLE = 400, 401, 403, 404, 422
_BLANK = b" \t\r\n\xef\xbb\xbf"
_TEXT = (b"{", b"[", b"data", b"event", b"id", b"retry", b"error", b":")
"""How JSON and event streams begin."""


class Refusals:
    """Puts what one endpoint refuses into an error that shows what to do about it."""

    def __init__(self, options: Options, target: Target, secrets: Secrets, found: Found | None = None) -> None:
        self._options, self._target, self._secrets, self._found = options, target, secrets, found

    def of_status(self, answer: Answer) -> EngineError:
        """An answer that is not a success, in the server's own words, with how long it asks to wait."""
        wait = answer.headers.get("retry-after", "").strip()
        # The other form, a date, would need the server's clock to agree with ours.
        after_s = float(wait) if wait.isascii() and wait.isdigit() and len(wait) < _MOST_DIGITS else None
        again = f" (Retry-After: {one_line(wait, 40)})" if wait else ""
        body = unpacked(b"".join(answer.body), _MOST) or b"".join(answer.body)[:_MOST]
        said = complaint_of(self._secrets.masked_bytes(body))
        lasting = refusal(answer.status, said)
        if answer.redirect:
            where, base = self._target.redirected(answer.redirect)
            text = f"it redirects to {where}, not followed" + (f': set url = "{base}"' if base else "")
        else:
            text = self._with_remedy(answer.status, said, lasting)
        return EngineError(
            self._secrets.masked(f"status {answer.status}{again}: {text}"),
            kind=f"http-{answer.status}",
            retry_after_s=after_s,
            refusal=lasting,
        )

    def in_answer(self, said: Complaint) -> EngineError:
        """An error that came with status 200, within a stream or in place of it."""
        lasting = refusal(said.status, said) if said.status else None
        return server_error(self._secrets.masked(self._with_remedy(said.status or 0, said, lasting)), lasting)

    def _with_remedy(self, status: int, said: Complaint, lasting: Refusal | None) -> str:
        text = said.text or NO_WORD
        advice = self._remedy(status, said) if lasting else None
        return f"{text}: {advice}" if advice else text

    def _remedy(self, status: int, said: Complaint) -> str | None:
        options = self._options
        if status in (_UNAUTHORISED, _FORBIDDEN):
            return key_remedy(options)
        if "api-version" in said.text and "api-version" not in self._target.query:
            return 'set query = { api-version = "..." }'
        if status in (_BAD, _UNPROCESSABLE) and (advice := remedy(said, options)):
            return advice
        if self._found is not None and self._found.listed and (status == _NOT_FOUND or "model" in said.text.lower()):
            like = beside(self._found.model, list(self._found.listed))
            return f'is the model "{self._found.model}" meant{like}' if like else None
        return None


def check_content(answer: Answer, stamps: Stamps, secrets: Secrets) -> None:
    """Discard the body of a success that is neither JSON nor a stream of events, whatever its label says.

    Raises:
        EngineError: ``content-encoding`` or ``content-type``: there was such a body.
    """
    encoding = secrets.masked(answer.headers.get("content-encoding", "")).strip().lower()
    if encoding not in READABLE:
        stamps.arrivals.clear()
        raise EngineError(
            f'the answer is compressed as "{one_line(encoding, 40)}", though the request asks for none',
            kind="content-encoding",
            refusal="perhaps",
        )
    if stamps.arrivals and stamps.arrivals[0][1].startswith(_TEXT):
        return  # as nearly all begin
    body = b""
    for _, data in plain(stamps.arrivals, MOST_BYTES):
        body = (body + data).lstrip(_BLANK)
        if len(body) >= _MOST or body.startswith(_TEXT):
            break
    if not body or body.startswith(_TEXT):
        return
    stamps.arrivals.clear()  # a page is not an answer
    said = complaint_of(secrets.masked_bytes(body[:_MOST]))
    label = secrets.masked(answer.headers.get("content-type", "")).split(";")[0].strip().lower()
    raise EngineError(
        f'the answer is "{one_line(label, 60)}" and no stream of events: {said.text}',
        kind="content-type",
        refusal="perhaps",
    )
