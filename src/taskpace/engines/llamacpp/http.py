"""llama.cpp's HTTP side, for what it says nowhere else; never asked while something is timed."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any

import msgspec

from taskpace.errors import EngineError


def ask(server: Any, key: str, method: str, path: str, body: object = None) -> Any:
    """What a loaded ``xllamacpp.Server`` answers, decoded. Raises ``EngineError`` for any status but 200."""
    address = server.listening_address.partition("://")[2]
    with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        connection.request(
            method,
            path,
            body=None if body is None else msgspec.json.encode(body),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        answer = response.read()
    if response.status != http.HTTPStatus.OK:
        raise EngineError(f"llama.cpp answers {path} with status {response.status}")
    return msgspec.json.decode(answer)
