"""Reads what a system asks of an OpenAI-compatible server, and sees that it can be had."""

from __future__ import annotations

from typing import Any

from taskpace.engines.openai.fields import check_fields
from taskpace.engines.openai.head import make_headers, make_query
from taskpace.engines.openai.http.target import read_url, tls_context
from taskpace.engines.openai.launch import check_command
from taskpace.engines.openai.options import Options
from taskpace.errors import ExperimentError
from taskpace.text.strict import convert

_LOCATION = "options of engine openai"


def read_options(options: dict[str, Any]) -> Options:
    """Raises ``ExperimentError`` naming the key, also when a variable is not set."""
    found = convert(options, Options, ExperimentError, location=_LOCATION)
    try:
        _check_where(found)
        if found.ca_file is not None:
            tls_context(found.ca_file)
        make_headers(found)
        make_query(found)
        check_fields(found)
    except ExperimentError as exc:
        raise ExperimentError(f"{_LOCATION}: {exc}") from None
    return found


def _check_where(options: Options) -> None:
    if not options.url and options.server is None:
        raise ExperimentError('the key "url" is missing: give an endpoint, or with "server" a command that starts one')
    if options.url and options.server is not None:
        raise ExperimentError('key "server": a server that is started has no "url" yet: leave one of the two out')
    if options.server is not None:
        check_command(options.server)
    else:
        read_url(options.url)
