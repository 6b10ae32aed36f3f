"""Where requests go: a base URL, the proxy that the environment names for it, and how TLS is checked."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urljoin, urlsplit

import msgspec

from taskpace.errors import ExperimentError
from taskpace.text.secrets import may_hold_key, without_passwords

if TYPE_CHECKING:
    import ssl

_PORTS = {"http": 80, "https": 443}
_ENDS = ("/chat/completions", "/completions", "/responses", "/messages", "/models")
"""What comes below a base URL, not at its end."""
_PATH = "/%:@!$&'()*+,;=-._~"
"""Characters of a path that stay as they are (RFC 3986, section 3.3)."""
_PROXY_PORT = 8080
_HAVE_SETTINGS = ("darwin", "win32")
"""Where a proxy may be named by the system's settings, and not by the environment alone."""
_SHOWN = 200


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP proxy."""

    host: str
    port: int
    authorization: str | None
    """The value of ``Proxy-Authorization``; null: none."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server and the path below which it answers."""

    scheme: str
    host: str
    port: int
    path: str
    """Without a slash at its end."""
    query: str = ""
    """Parameters that go with every request."""
    proxy: Proxy | None

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    def at(self, path: str) -> str:
        """The request target for ``path``: absolute for a proxy that is asked in the clear."""
        whole = f"{self.path}{path}" + (f"?{self.query}" if self.query else "")
        return f"http://{self.authority}{whole}" if self.proxy and not self.tls else whole

    def moved_to(self, path: str) -> Target:
        """Return this server with another path."""
        return msgspec.structs.replace(self, path=path)

    def with_query(self, query: str) -> Target:
        """Return this target with further query parameters."""
        return msgspec.structs.replace(self, query="&".join(filter(None, (self.query, query))))

    def redirected(self, location: str) -> tuple[str, str | None]:
        """Where a redirect leads, without what could be secret in it, and the base URL that this makes; null: none."""
        try:
            parts = urlsplit(urljoin(self.url + "/", location))
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            where = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
        except ValueError:
            return "an address that is none", None
        path = quote(parts.path[:_SHOWN], safe=_PATH)
        base = base_path(path)
        return where + path, None if base is None else where + base


def base_path(path: str) -> str | None:
    """A path without what requests add to it; null: it ends with nothing of that."""
    path = path.rstrip("/")
    return next((path.removesuffix(end) for end in _ENDS if path.endswith(end)), None)


def read_url(url: str, *, proxied: bool = True) -> Target:
    """A base URL such as ``http://localhost:8000/v1``. Raises ``ExperimentError`` that names the key.

    ``proxied``: asked through the proxy that the environment names for it, if it names one.
    """

    def wrong(problem: str) -> ExperimentError:
        return ExperimentError(f'key "url": {problem}')

    shown = without_passwords(url)
    if "://" not in url:
        raise wrong(f'"{shown}" has no scheme: write http://{shown} or https://{shown}')
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise wrong(f'invalid URL "{shown}": {without_passwords(str(exc))}') from None
    if parts.username or parts.password:
        raise wrong('it holds a name or a password: put the key in a variable and name that in "api_key_env"')
    if parts.scheme not in _PORTS:
        raise wrong(f'"{parts.scheme}" is not spoken here: write http:// or https://')
    if not parts.hostname or not url.isprintable() or " " in url:
        raise wrong(f'"{shown}" names no host: write it as in http://localhost:8000/v1')
    if parts.fragment:
        raise wrong('it has a "#": give the base URL alone, as in http://localhost:8000/v1')
    if (base := base_path(parts.path)) is not None:
        raise wrong(f"requests go to {parts.path} below it by themselves: write {parts.scheme}://{parts.netloc}{base}")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if may_hold_key(name):
            raise wrong(
                f'its parameter "{name}" may be a key: write query = {{ {name} = {{ env = "VARIABLE" }} }} instead'
            )
    return Target(
        scheme=parts.scheme,
        host=_host(parts.hostname, wrong),
        port=port or _PORTS[parts.scheme],
        path=quote(parts.path.rstrip("/"), safe=_PATH),
        query=quote(parts.query, safe=_PATH + "?"),
        proxy=_proxy(parts) if proxied else None,
    )


def _host(name: str, wrong: Callable[[str], ExperimentError]) -> str:
    """A host's name as it is looked up: in ASCII, each part of 1 to 63 characters (RFC 1035, RFC 3490)."""
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise wrong(f'invalid host name "{name[:_SHOWN]}" ({exc.__cause__ or exc}): correct it') from None


def _proxy(parts: SplitResult) -> Proxy | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (or the system's settings) name for a URL."""
    if sys.platform not in _HAVE_SETTINGS and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # slow to import, and few have a proxy

    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named:
        return None
    try:
        found = urlsplit(named if "://" in named else f"http://{named}")
        port = found.port or _PROXY_PORT
    except ValueError:
        found, port = urlsplit(""), 0
    if found.scheme != "http" or not found.hostname:
        raise ExperimentError(
            f"the proxy for {parts.scheme} is not an http:// URL: correct {parts.scheme.upper()}_PROXY"
        )
    authorization = None
    if found.username:
        secret = f"{unquote(found.username)}:{unquote(found.password or '')}"
        authorization = "Basic " + base64.b64encode(secret.encode()).decode()
    return Proxy(host=found.hostname, port=port, authorization=authorization)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Certificates and names are always checked. ``ca_file``: authorities to trust in addition to the system's.

    Raises:
        ExperimentError: the file cannot be read, or holds no certificate.
    """
    import ssl  # slow to import, and many servers are of this machine

    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise ExperimentError(f'key "ca_file": {ca_file}: no certificates in it (PEM): {exc}') from None
    context.set_alpn_protocols(["http/1.1"])
    return context
