"""The head of a request, with what a user wants in it: headers, parameters of the URL, secrets from variables."""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

from taskpace.engines.openai.http.target import Target
from taskpace.engines.openai.options import Options
from taskpace.errors import ExperimentError
from taskpace.text.secrets import Secrets, without_secrets


def make_headers(options: Options) -> dict[str, str]:
    """The headers that a user asked for, secrets filled in. Raises ``ExperimentError`` when a variable is not set."""
    found = {}
    if options.api_key_env is not None:
        found["Authorization"] = f"Bearer {_variable('api_key_env', options.api_key_env)}"
    for name, value in options.headers.items():
        text = value if isinstance(value, str) else _variable("headers", value.env)
        if not name.isascii() or not name.isprintable() or ":" in name or " " in name or not name:
            raise ExperimentError(f'key "headers": invalid header name {name!r}')
        found[name] = _one_line(text, f'key "headers": the value of {name}')
    return found


def make_query(options: Options) -> str:
    """The parameters that a user asked for, secrets filled in; empty: none. Raises as ``make_headers``."""
    values = {
        name: value if isinstance(value, str) else _variable("query", value.env)
        for name, value in options.query.items()
    }
    return urlencode(values, quote_via=quote)


def secrets_of(options: Options, target: Target) -> Secrets:
    """What a request holds that is to be written nowhere. Raises as ``make_headers``."""
    found = [value for name, value in make_headers(options).items() if without_secrets(value, name) != value]
    if options.api_key_env is not None:
        found.append(_variable("api_key_env", options.api_key_env))
    for key, values in (("headers", options.headers), ("query", options.query)):
        held = [_variable(key, value.env) for value in values.values() if not isinstance(value, str)]
        found += [*held, *map(quote, held)]
    if target.proxy and target.proxy.authorization:
        found.append(target.proxy.authorization)
    return Secrets(found)


def _variable(key: str, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ExperimentError(f'key "{key}": the variable {name} is not set: run `export {name}=...` first')
    return _one_line(value, f'key "{key}": what the variable {name} holds')


def _one_line(value: str, what: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ExperimentError(f"{what} must be plain text on one line")
    return value


def request_head(options: Options, target: Target, method: str, path: str) -> bytes:
    """Everything of a request before its body's length."""
    headers = {
        "Host": target.authority,
        "User-Agent": "taskpace",
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    } | make_headers(options)
    if target.proxy and target.proxy.authorization and not target.tls:
        headers["Proxy-Authorization"] = target.proxy.authorization
    lines = [f"{method} {target.at(path)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
