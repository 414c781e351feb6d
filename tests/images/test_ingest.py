"""Decoding to a store: once for the same inputs, complete or not at all."""

import io
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mlic.errors import DataError
from mlic.images import ingest, store_writers
from mlic.images.ingest import write_store
from mlic.images.records import ImageRecords
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace

SQUARES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def encode(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def raw_of(sources):
    n = len(sources)
    states = np.ones((n, 1), dtype=np.int8)
    ids = [f"p{i}" for i in range(n)]
    return ImageRecords(LabelMatrix(LabelSpace(("cat",)), ids, states, [""] * n), sources)


@pytest.fixture
def sources():
    return [encode(square) for square in SQUARES]


def test_store_holds_the_images_in_order(tmp_path, sources):
    store, quarantine = write_store(tmp_path, raw_of(sources), 8)
    np.testing.assert_array_equal(store.pixels, SQUARES)
    assert store.ids.tolist() == [f"p{i}" for i in range(6)]
    assert quarantine.empty and list(quarantine.columns) == ["id", "source", "reason"]
    assert store.fingerprint == ImageStore.from_arrays(store.ids, SQUARES).fingerprint


@pytest.mark.parametrize("bad", [[0], [5], [2, 3], [0, 1, 2, 3, 4]])
def test_unreadable_images_leave_no_gap_in_array_or_file(tmp_path, sources, bad):
    for row in bad:
        sources[row] = b"bad"
    store, quarantine = write_store(tmp_path / "holes", raw_of(sources), 8)
    kept = [row for row in range(6) if row not in bad]
    np.testing.assert_array_equal(store.pixels, SQUARES[kept])
    assert quarantine["id"].tolist() == [f"p{row}" for row in bad]
    assert quarantine["source"].unique().tolist() == ["3 bytes"]
    whole = ImageStore.from_arrays(store.ids, SQUARES[kept])
    whole.save(tmp_path / "whole")
    assert whole.fingerprint == store.fingerprint
    written = [(tmp_path / name / "pixels.npy").read_bytes() for name in ("holes", "whole")]
    assert written[0] == written[1]


def test_of_two_writers_of_one_store_one_decodes_and_both_read(tmp_path, sources, monkeypatch):
    decodings, write = [], ingest.WRITERS["pixels"]

    def slowly(*args):
        decodings.append(args)
        time.sleep(0.2)
        return write(*args)

    monkeypatch.setitem(ingest.WRITERS, "pixels", slowly)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: write_store(tmp_path, raw_of(sources), 8)[0], range(2)))
    assert len(decodings) == 1
    for store in made:
        np.testing.assert_array_equal(store.pixels, SQUARES)


def test_same_inputs_are_not_decoded_twice(tmp_path, sources, monkeypatch, caplog):
    sources[1] = b"bad"
    first, first_quarantine = write_store(tmp_path, raw_of(sources), 8)
    monkeypatch.setattr(store_writers, "decode_image", None)
    with caplog.at_level(logging.INFO):
        second, second_quarantine = write_store(tmp_path, raw_of(sources), 8)
    assert "up to date" in caplog.text
    assert first.fingerprint == second.fingerprint
    assert first_quarantine.equals(second_quarantine)


@pytest.mark.parametrize("change", ["bytes", "size", "ids"])
def test_other_inputs_are_decoded_again(tmp_path, sources, change, caplog):
    caplog.set_level(logging.INFO, "mlic")
    before, _ = write_store(tmp_path, raw_of(sources), 8)
    raw, size = raw_of(sources), 8
    if change == "bytes":
        raw = raw_of([*sources[:5], encode(SQUARES[0])])
    elif change == "size":
        size = 4
    else:
        raw = raw_of(sources[:5])
    after, _ = write_store(tmp_path, raw, size)
    assert after.fingerprint != before.fingerprint
    assert (len(after), after.size) == (len(raw), size)
    reason = "size was 8, is 4" if change == "size" else "inputs was"
    assert f"images: pixels is made again: {reason}" in caplog.text


def test_changed_decoding_code_decodes_again(tmp_path, sources, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "mlic")
    write_store(tmp_path, raw_of(sources), 8)
    monkeypatch.setattr(ingest, "code_version", lambda _: "another")
    write_store(tmp_path, raw_of(sources), 8)
    assert "code was" in caplog.text and "is another" in caplog.text


def test_changed_file_is_noticed(tmp_path, sources):
    file = tmp_path / "a.png"
    file.write_bytes(sources[0])
    before, _ = write_store(tmp_path / "store", raw_of([file]), 8)
    file.write_bytes(sources[1])
    os.utime(file, ns=(1, 1))  # same size on many file systems: the time alone must do
    after, _ = write_store(tmp_path / "store", raw_of([file]), 8)
    np.testing.assert_array_equal(after.pixels[0], SQUARES[1])
    assert before.fingerprint != after.fingerprint


def test_damaged_store_is_made_again(tmp_path, sources, caplog):
    write_store(tmp_path, raw_of(sources), 8)
    (tmp_path / "pixels.npy").write_bytes(b"")
    store, _ = write_store(tmp_path, raw_of(sources), 8)
    np.testing.assert_array_equal(store.pixels, SQUARES)
    assert "made again" in caplog.text


def test_no_readable_image_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="none of the 2"):
        write_store(tmp_path, raw_of([b"bad", b"worse"]), 8)
    assert not list(tmp_path.glob("[!.]*"))


def test_interrupt_leaves_the_old_store_complete(tmp_path, sources, monkeypatch):
    before, _ = write_store(tmp_path, raw_of(sources), 8)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_writers, "map_rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path, raw_of(sources), 4)
    assert ImageStore.open(tmp_path).fingerprint == before.fingerprint
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["pixels.json", "pixels.npy"]
