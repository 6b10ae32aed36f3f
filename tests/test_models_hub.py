from __future__ import annotations

import hashlib
import http.server
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from taskpace.errors import MissingExtraError
from taskpace.models import is_cached, resolve

GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(40)
COMMIT = "a" * 40
RESOLVE = """
import sys
from pathlib import Path
from taskpace.errors import ModelError
from taskpace.models import is_cached, resolve
for reference in sys.argv[1:]:
    fetch = not reference.startswith("local ")
    reference = reference.removeprefix("local ")
    seen = []
    try:
        found = resolve(reference, Path(), fetch=fetch, on_progress=lambda *event: seen.append(event))
    except ModelError as error:
        print("ModelError", error)
    else:
        downloaded = any(label.endswith("downloading") for label, _, _ in seen)
        print(found.sha256, Path(found.path).name, downloaded, is_cached(reference))
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as one download needs."""

    authorizations: tuple[str | None, ...] = ()

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, *, with_body):
        type(self).authorizations += (self.headers.get("Authorization"),)
        codes = {
            "/gated/": "GatedRepo",
            "/private/": "RepoNotFound",
            "/v9/": "RevisionNotFound",
            "/no.gguf": "EntryNotFound",
        }
        code = next((code for part, code in codes.items() if part in self.path), None)
        if "/broken/" in self.path:
            self.send_response(400)
        elif code:
            self.send_response(403 if code == "GatedRepo" else 404)
            self.send_header("X-Error-Code", code)
        else:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(GGUF).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        body = b"" if code or "/broken/" in self.path else GGUF
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Hub.authorizations = ()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def resolve_there(tmp_path, monkeypatch):
    """Resolves in a process of its own, because the library reads its environment when it is imported."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("TASKPACE_CACHE", str(tmp_path / "cache"))

    def there(endpoint, *references):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        command = [sys.executable, "-c", RESOLVE, *references]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
        return done.stdout.splitlines()

    return there


def test_a_file_is_fetched_once(hub, resolve_there):
    """A file on the hub is downloaded with progress, then found in the hub's own cache without the network."""
    good = f"{hashlib.sha256(GGUF).hexdigest()} a.gguf"
    reference = "hf:owner/repo/q4/a.gguf"
    assert resolve_there(hub, reference) == [f"{good} True True"]
    assert resolve_there("http://127.0.0.1:9", f"local {reference}") == [f"{good} False True"]
    assert set(Hub.authorizations) == {None}


def test_the_token_comes_from_the_environment_and_is_not_printed(hub, resolve_there, monkeypatch):
    """HF_TOKEN is sent, and appears in no message."""
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    lines = resolve_there(hub, "hf:owner/repo/a.gguf", "hf:gated/repo/a.gguf", "hf:broken/repo/a.gguf")
    assert "Bearer hf_verysecret" in Hub.authorizations
    assert "verysecret" not in "".join(lines)


def test_each_failure_has_its_line(hub, resolve_there):
    """Gated, missing, of another revision, without that file: each is named in one line."""
    references = ["hf:gated/repo/a.gguf", "hf:private/repo/a.gguf", "hf:owner/repo@v9/a.gguf", "hf:owner/repo/no.gguf"]
    lines = resolve_there(hub, *references, "local hf:owner/repo/b.gguf")
    expected = ["set HF_TOKEN", "no such repository", "no revision 'v9'", "no file 'no.gguf'", "taskpace models pull"]
    assert len(lines) == len(expected)
    for line, says in zip(lines, expected, strict=True):
        assert line.startswith("ModelError")
        assert says in line


def test_no_network_is_said_plainly(resolve_there, monkeypatch):
    """A hub that may not or cannot be reached is reported as that."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (line,) = resolve_there("http://127.0.0.1:9", "hf:owner/repo/a.gguf")
    assert "could not be reached" in line


def test_the_missing_library_names_its_extra(monkeypatch):
    """Without huggingface_hub, the message shows which extra installs it, and nothing counts as cached."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"\(extra hub\): run `.*huggingface.hub"):
        resolve("hf:owner/repo/a.gguf", Path())
    assert not is_cached("hf:owner/repo/a.gguf")
