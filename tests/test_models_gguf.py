from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from taskpace.errors import ModelError
from taskpace.models.gguf_header import _BLOCKS, check_gguf


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    import gguf

    path = tmp_path_factory.mktemp("gguf") / "whole.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_token_list(["a", "b", "longer"])
    writer.add_token_scores([0.0, 1.0, 2.0])
    writer.add_tensor("first", np.ones((4, 32), dtype=np.float32))
    writer.add_tensor("second", np.zeros((2, 34), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def check(tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    check_gguf(path, len(content))


def test_a_whole_file_passes(tmp_path, whole):
    """A file that the reference writer made, with a plain and a quantised tensor, is found whole."""
    check(tmp_path, whole)


def test_every_cut_is_noticed(tmp_path, whole):
    """Wherever a file is cut before the end of its last tensor, it is called truncated or no GGUF at all."""
    padding = -(2 * 34) % 32
    for length in range(1, len(whole) - padding, 7):
        with pytest.raises(ModelError, match=r"truncated|does not begin with the letters GGUF"):
            check(tmp_path, whole[:length])
    check(tmp_path, whole[: len(whole) - padding])
    with pytest.raises(ModelError, match="its header requires"):
        check(tmp_path, whole[: len(whole) - padding - 1])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 a zip file", "does not begin with the letters GGUF"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version is 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**64 - 1, 2**64 - 1), "truncated"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**64 - 1) + bytes(64), "truncated"),
        (b"GGUF" + struct.pack("<IQQQII", 3, 0, 1, 0, 99, 0) + bytes(64), "unknown type 99"),
        (b"GGUF" + struct.pack("<IQQQIIQ", 3, 0, 1, 0, 9, 9, 5) + bytes(64), "unknown type 9"),
        (b"GGUF" + struct.pack("<IQQQIIQQ", 3, 0, 1, 0, 9, 8, 2, 2**64 - 1) + bytes(64), "truncated"),
        (b"GGUF" + struct.pack("<IQQQ17sII", 3, 0, 1, 17, b"general.alignment", 4, 3), "power of two"),
        (b"GGUF" + struct.pack("<IQQQI", 3, 1, 0, 0, 2**31) + bytes(64), "dimensions"),
    ],
)
def test_hostile_headers_are_refused(tmp_path, content, says):
    """Counts and lengths that cannot be are refused in one line, without following them."""
    with pytest.raises(ModelError, match=says) as caught:
        check(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_too_many_strings_are_refused(tmp_path, monkeypatch):
    """A header made of endless empty strings is given up at a fixed number."""
    monkeypatch.setattr("taskpace.models.gguf_header._MOST_STRINGS", 10)
    content = b"GGUF" + struct.pack("<IQQQIIQ", 3, 0, 1, 0, 9, 8, 11) + bytes(8 * 11)
    with pytest.raises(ModelError, match="more than 10 strings"):
        check(tmp_path, content)


def test_a_header_longer_than_the_first_read_is_read_on(tmp_path, monkeypatch, whole):
    """A header that does not fit into the first read is read further, up to a limit."""
    monkeypatch.setattr("taskpace.models.gguf_header._FIRST_READ_BYTES", 16)
    check(tmp_path, whole)
    monkeypatch.setattr("taskpace.models.gguf_header._MOST_HEADER_BYTES", 16)
    with pytest.raises(ModelError, match="larger than 16 bytes"):
        check(tmp_path, whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=9)), max_size=4))
def test_damage_never_raises_anything_else(tmp_path, whole, changes):
    """Whatever bytes of a header are overwritten, the answer is a pass or a ModelError."""
    content = bytearray(whole)
    for at, value in changes:
        start = at % len(content)
        content[start : start + len(value)] = value
    with contextlib.suppress(ModelError):
        check(tmp_path, bytes(content))


def test_the_table_of_types_is_the_libraries_own():
    """The sizes of the tensor types agree with the reference package, for every type that both know."""
    import gguf

    theirs = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: _BLOCKS[kind] for kind in _BLOCKS if kind in theirs} == {
        kind: theirs[kind] for kind in theirs if kind in _BLOCKS
    }
    assert len(set(_BLOCKS) & set(theirs)) > 20
