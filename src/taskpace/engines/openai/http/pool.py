"""Connections to one server: opened before a clock starts, kept alive, replaced when they are gone."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

from taskpace.engines.openai.http.connection import Connection
from taskpace.engines.openai.http.target import Proxy, Target
from taskpace.errors import EngineError

_RETRY_S = 0.2
# A request that crosses with the server's closing of an idle connection is lost, and opening one costs no trial
# anything. So only such connections are used again that the server has had time to close and no reason to.
_SETTLED_NS = 20_000_000
"""Some servers close a connection right after a stream, without a word before (llama.cpp's does)."""
_FRESH_NS = 1_000_000_000
"""All close idle ones after some seconds (llama.cpp's after five)."""
_LONGEST_HEAD = 16 * 1024
_NAME_MISMATCHES = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH, which Python's ssl does not name."""


class OtherNameError(EngineError):
    """The server's certificate is for another host's name, or another address."""

    kind = "connect-tls"


class Pool:
    """As many connections as there are requests in flight; there is no cap.

    Args:
        target: the server.
        tls: for an ``https`` target.
        now_ns: the clock.
        connect_timeout_s: limit on opening one connection, name, proxy and TLS included.
    """

    def __init__(
        self, target: Target, tls: ssl.SSLContext | None, now_ns: Callable[[], int], connect_timeout_s: float
    ) -> None:
        self._target = target
        self._tls = tls
        self._now_ns = now_ns
        self._connect_timeout_s = connect_timeout_s
        self._idle: deque[Connection] = deque()

    async def take(self) -> Connection:
        """An idle connection, or a new one.

        A server that refuses is asked again until ``connect_timeout_s`` have passed: it may be starting again.

        Raises:
            EngineError: as ``connect``.
        """
        while self._idle:
            idle_ns = self._now_ns() - self._idle[0].last_ns
            if self._idle[0].asked and idle_ns < _SETTLED_NS:
                break
            connection = self._idle.popleft()
            if connection.usable and idle_ns < _FRESH_NS:
                return connection
            connection.close()
        deadline = asyncio.get_running_loop().time() + self._connect_timeout_s
        while True:
            try:
                return await self.connect()
            except EngineError as exc:
                if exc.kind != "connect-refused" or asyncio.get_running_loop().time() + _RETRY_S > deadline:
                    raise
            await asyncio.sleep(_RETRY_S)

    def give_back(self, connection: Connection) -> None:
        if connection.is_open:  # what comes in until it is taken again is seen then
            self._idle.append(connection)

    async def connect(self) -> Connection:
        """A new connection.

        Raises:
            EngineError: ``connect-refused``, ``connect-name``, ``connect-timeout``, ``connect-tls``, ``connect-proxy``
                or ``connect-failed``.
        """
        target, proxy = self._target, self._target.proxy
        at = f"{proxy.host}:{proxy.port} (a proxy)" if proxy else f"{target.host}:{target.port}"
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if proxy and target.tls:
                    return await self._tunnel(proxy)
                host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._now_ns),
                    host,
                    port,
                    ssl=self._tls if target.tls else None,
                    server_hostname=target.host if target.tls else None,
                )
                return connection
        except TimeoutError:
            raise EngineError(
                f"{at}: no connection within {self._connect_timeout_s:g} s", kind="connect-timeout"
            ) from None
        except ssl.SSLCertVerificationError as exc:
            said = exc.verify_message.rstrip(".")
            if exc.verify_code in _NAME_MISMATCHES:
                raise OtherNameError(f"{at}: its certificate is for another name: {said}") from None
            raise EngineError(f"{at}: its certificate does not pass: {said}", kind="connect-tls") from None
        except ssl.SSLError as exc:
            raise EngineError(f"{at}: no TLS: {exc.reason or exc}", kind="connect-tls") from None
        except socket.gaierror:
            raise EngineError(f"{at}: unknown host name", kind="connect-name") from None
        except ConnectionRefusedError:
            raise EngineError(f"{at}: nothing listens there", kind="connect-refused") from None
        except (ConnectionResetError, ConnectionAbortedError) as exc:
            kind = "connect-tls" if target.tls else "connect-failed"
            raise EngineError(f"{at}: it hung up: {exc.strerror or exc}", kind=kind) from None
        except OSError as exc:
            raise EngineError(f"{at}: {exc.strerror or exc}", kind="connect-failed") from None

    async def _tunnel(self, proxy: Proxy) -> Connection:
        """TLS through a proxy: CONNECT, then the handshake with the server itself."""
        loop = asyncio.get_running_loop()
        transport, head = await loop.create_connection(_Head, proxy.host, proxy.port)
        where = f"{self._target.host}:{self._target.port}"
        extra = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        transport.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{extra}\r\n".encode())
        status = await head.status
        if status.split(" ", 2)[1:2] != ["200"]:
            transport.abort()
            raise EngineError(f"{proxy.host}:{proxy.port} (a proxy) answers {status[:80]!r}", kind="connect-proxy")
        assert self._tls is not None  # noqa: S101 - an https target has a context
        connection = Connection(self._now_ns)
        secured = await loop.start_tls(transport, connection, self._tls, server_hostname=self._target.host)
        assert secured is not None  # noqa: S101 - null only when the loop is closing
        connection.connection_made(secured)
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Head(asyncio.Protocol):
    """Reads the head of a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.status: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self.status.done() and (b"\r\n\r\n" in self._read or len(self._read) > _LONGEST_HEAD):
            self.status.set_result(self._read.split(b"\r\n", 1)[0].decode("latin-1"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_result("nothing")
        del exc
