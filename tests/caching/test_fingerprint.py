"""Fingerprints: what changes them."""

import hashlib

import numpy as np
import pytest

from mlic.caching.fingerprint import fingerprint_file, fingerprint_parts, fingerprint_tree


def test_fingerprint_file_follows_the_content(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    assert fingerprint_file(one) == fingerprint_file(str(two))
    two.write_bytes(b"other weights")
    assert fingerprint_file(one) != fingerprint_file(two)
    assert fingerprint_file(None) is None and fingerprint_file(tmp_path) is None


@pytest.mark.parametrize("chunk", [1, 100, 10**6])
def test_fingerprint_parts_reads_arrays_in_blocks(monkeypatch, chunk):
    monkeypatch.setattr("mlic.caching.fingerprint.CHUNK_BYTES", chunk)
    array = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
    expected = hashlib.sha256(b"name" + array.tobytes()).hexdigest()[:16]
    assert fingerprint_parts("name", array) == fingerprint_parts(b"name", array) == expected
    assert fingerprint_parts("name", np.asfortranarray(array)) == expected
    assert fingerprint_parts("name", array[::-1]) != expected


def test_fingerprint_parts_takes_scalars_and_empty_arrays():
    assert fingerprint_parts(np.array(7)) == fingerprint_parts(np.array([7]))
    assert fingerprint_parts(np.empty((0, 3))) == fingerprint_parts("")


def test_fingerprint_tree_follows_values_not_order():
    assert fingerprint_tree({"a": 1, "b": None}) == fingerprint_tree({"b": None, "a": 1})
    assert fingerprint_tree({"a": [1, 2]}) != fingerprint_tree({"a": [2, 1]})
