"""Stores of encoded images and of files: the same pixels, the same fingerprint, clear errors."""

import logging
import pickle
import shutil
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from mlic.errors import DataError, ParameterError
from mlic.images import ingest, shards, store_choice, store_writers
from mlic.images.codec import Codec
from mlic.images.duplicates import find_duplicates
from mlic.images.ingest import write_store
from mlic.images.records import ImageRecords
from mlic.images.store import ImageStore, PixelStore
from mlic.labels import LabelMatrix, LabelSpace

SIDE = 16
KINDS = ["pixels", "encoded", "files"]


def photo(seed):
    """A smooth image with some noise, larger than the store and not square."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((40, 32), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-9, 9, smooth.shape), 0, 255).astype(np.uint8)


def records(sources):
    n = len(sources)
    ids = [f"é{i}" for i in range(n)]
    labels = LabelMatrix(LabelSpace(("cat",)), ids, np.ones((n, 1), np.int8), [""] * n)
    return ImageRecords(labels, sources)


@pytest.fixture
def files(tmp_path):
    """Nine image files in two folders; the last has the pixels of the first."""
    paths = [tmp_path / "raw" / f"f{i % 2}" / f"ü {i}.jpg" for i in range(9)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(number % 8)).save(path, quality=92)
    return paths


@pytest.fixture
def make(tmp_path, files):
    """Make a store of some kind from the files."""

    def make(kind, **options):
        return write_store(tmp_path / kind, records(files), SIDE, kind, **options)[0]

    return make


@pytest.mark.parametrize("kind", ["encoded", "files"])
@pytest.mark.parametrize("workers", [1, 3])
def test_all_kinds_give_the_same_pixels_and_fingerprint(make, kind, workers):
    plain, store = make("pixels"), make(kind, workers=workers)
    assert isinstance(plain, PixelStore) and store.kind == kind
    np.testing.assert_array_equal(store.read(slice(None)), plain.read(slice(None)))
    assert store.fingerprint == plain.fingerprint
    assert (store.ids.tolist(), store.size, len(store)) == (plain.ids.tolist(), SIDE, 9)
    np.testing.assert_array_equal(store.digests(), plain.digests())
    assert find_duplicates(store) == find_duplicates(plain) == [[0, 8]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [[3, 0, 3], np.array([8]), slice(2, 7, 2), [], slice(-2, None)])
def test_rows_are_read_in_any_order(make, kind, rows):
    whole = make("pixels").pixels
    store = make(kind)
    rows = np.asarray(rows, dtype=np.intp) if isinstance(rows, list) else rows
    read = store.read(rows)
    assert read.dtype == np.uint8 and read.shape[1:] == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(read, np.asarray(whole)[rows])
    assert store.rows([store.ids[4], store.ids[1]]).tolist() == [4, 1]
    with pytest.raises(DataError) as error:
        store.rows(["é1", "no"])
    assert error.value.fields["name"] == "no"


@pytest.mark.parametrize("kind", KINDS)
def test_store_is_copied_and_sent_by_its_folder(make, kind, tmp_path):
    store = make(kind)
    sent = pickle.dumps(store)
    assert len(sent) < 1000 and ImageStore.exists(store.folder)
    store.save(tmp_path / "copy")
    for other in (pickle.loads(sent), ImageStore.open(tmp_path / "copy")):
        assert type(other) is type(store) and other.fingerprint == store.fingerprint
        np.testing.assert_array_equal(other.read([5, 2]), store.read([5, 2]))
    assert not ImageStore.exists(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_unreadable_images_are_left_out(kind, files, tmp_path):
    files[0].write_bytes(b"bad")
    files[4].unlink()
    store, quarantine = write_store(tmp_path / "s", records(files), SIDE, kind)
    assert quarantine["id"].tolist() == ["é0", "é4"]
    assert store.ids.tolist() == ["é1", "é2", "é3", "é5", "é6", "é7", "é8"]
    good = [path for path in files if path not in (files[0], files[4])]
    whole, _ = write_store(tmp_path / "t", records(good), SIDE)
    np.testing.assert_array_equal(store.read(slice(None)), whole.pixels)


def test_jpeg_loses_little_and_has_its_own_fingerprint(make):
    plain, store = make("pixels"), make("encoded", quality=95)
    error = np.abs(store.read(slice(None)).astype(int) - plain.pixels)
    assert 0 < error.mean() < 4
    assert store.fingerprint != plain.fingerprint
    twin = ImageStore.from_arrays(store.ids, store.read(slice(None)))
    assert twin.fingerprint == store.fingerprint
    lossless = make("encoded")
    assert lossless.fingerprint == plain.fingerprint and len(lossless.shards) == 1


def test_images_are_divided_among_shards(make, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1500)
    store = make("encoded")
    sizes = [path.stat().st_size for path in store.shards]
    assert len(sizes) > 2 and max(sizes) <= 1500 and store.is_complete()
    assert set(store.folder.glob("*.bin")) == set(store.shards)
    np.testing.assert_array_equal(store.read(slice(None)), make("pixels").pixels)


@pytest.mark.parametrize("place", [0, -1])
def test_damaged_image_of_a_shard_is_an_error_that_names_the_shard(make, place):
    store = make("encoded")
    shard = store.shards[0]
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)
    row = 0 if place == 0 else 8
    store.read([4])
    with pytest.raises(DataError) as error:
        store.read([4, row])
    assert error.value.fields["path"] == shard and str(store.ids[row]) in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_incomplete_shard_is_an_error_and_is_made_again(make, damage, caplog):
    store = make("encoded")
    before, shard = store.read(slice(None)), store.shards[0]
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        shard.unlink()
    with pytest.raises(DataError) as error:
        store.read([8])
    assert error.value.fields["path"] == shard
    np.testing.assert_array_equal(make("encoded").read(slice(None)), before)
    assert "a shard is missing" in caplog.text


def vanish(path):
    path.unlink()


def change(path):
    Image.fromarray(photo(77)).save(path)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [vanish, change, flip_a_bit])
def test_image_file_that_is_not_as_it_was_is_an_error_that_names_it(make, files, damage):
    store = make("files")
    damage(files[3])
    store.read([2, 4])
    with pytest.raises(DataError) as error:
        store.read([2, 3])
    assert error.value.fields["path"] == files[3] and "restore" in str(error.value)


def test_file_with_a_new_time_and_the_same_content_is_read(make, files):
    store = make("files")
    before = store.read([3])
    shutil.copyfile(files[3], files[3].with_suffix(".x"))
    files[3].with_suffix(".x").replace(files[3])
    np.testing.assert_array_equal(store.read([3]), before)


def test_files_need_files(files, tmp_path):
    sources = [path.read_bytes() for path in files]
    with pytest.raises(ParameterError) as error:
        write_store(tmp_path / "s", records(sources), SIDE, "files")
    assert error.value.fields["parameter"] == "data.store"
    store, _ = write_store(tmp_path / "s", records(sources), SIDE, "encoded")
    assert len(store) == 9


@pytest.mark.parametrize("kind", KINDS)
def test_same_inputs_are_not_decoded_twice(make, kind, monkeypatch):
    first = make(kind)
    monkeypatch.setattr(store_writers, "decode_image", None)
    assert make(kind).fingerprint == first.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_other_kind_takes_the_place_of_the_one_before(files, tmp_path, kind):
    for before in KINDS:
        write_store(tmp_path / "s", records(files), SIDE, before)
    store, _ = write_store(tmp_path / "s", records(files), SIDE, kind)
    assert ImageStore.open(tmp_path / "s").kind == store.kind == kind
    left = {path.name for path in (tmp_path / "s").glob("[!.]*") if path.suffix != ".bin"}
    assert left == {f"{kind}.npy", f"{kind}.json"}
    assert len(list((tmp_path / "s").glob("*.bin"))) == (kind == "encoded")


@pytest.mark.parametrize("kind", ["encoded", "files"])
def test_interrupted_writer_leaves_the_store_before_it(files, tmp_path, kind, monkeypatch):
    before, _ = write_store(tmp_path / "s", records(files), SIDE, kind)
    pixels, encode = before.read(slice(None)), Codec.encode
    calls = []

    def interrupt(*args):
        calls.append(args)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return encode(*args)

    monkeypatch.setattr(ingest, "estimate_stores", lambda *_: FITTING)
    monkeypatch.setattr(Codec, "encode", interrupt)
    monkeypatch.setattr(store_writers, "fingerprint_file", interrupt)
    with pytest.raises((KeyboardInterrupt, TypeError)):
        write_store(tmp_path / "s", records(files), 8, kind, workers=1)
    np.testing.assert_array_equal(ImageStore.open(tmp_path / "s").read(slice(None)), pixels)
    assert not list((tmp_path / "s").glob("*.partial"))


FITTING = store_choice.StoreSizes(1, 1, 0, Codec())
Usage = namedtuple("Usage", "total used free")


class TestChoice:
    @pytest.fixture
    def free(self, monkeypatch):
        def set_free(number):
            monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, number))

        return set_free

    def test_sizes_are_those_of_the_stores(self, make, files):
        sizes = store_choice.estimate_stores(records(files), SIDE, Codec())
        assert sizes.pixels == make("pixels").pixels.nbytes and sizes.files == 0
        assert sizes.encoded == sum(path.stat().st_size for path in make("encoded").shards)

    @pytest.mark.parametrize(
        ("number", "expected"), [(2000, "pixels"), (1999, "encoded"), (799, "files")]
    )
    def test_auto_takes_the_first_that_fits(self, free, tmp_path, number, expected, caplog):
        caplog.set_level(logging.INFO, "mlic")
        free(number)
        sizes = store_choice.StoreSizes(1000, 400, 0, Codec())
        assert sizes.choose("auto", tmp_path) == expected
        assert f"which takes {expected}" in caplog.text and "encoded about" in caplog.text
        assert sizes.choose("files", tmp_path) == "files"

    def test_no_room_for_any_store_is_an_error(self, free, tmp_path):
        free(799)
        sizes = store_choice.StoreSizes(1000, 400, None, Codec())
        with pytest.raises(DataError) as error:
            sizes.choose("auto", tmp_path)
        assert error.value.fields["path"] == tmp_path
        free(399)
        with pytest.raises(DataError, match="store_quality"):
            sizes.choose("encoded", tmp_path)

    def test_auto_keeps_the_store_that_there_is(self, free, files, tmp_path):
        free(10**6)
        assert write_store(tmp_path / "s", records(files), SIDE, "encoded")[0].kind == "encoded"
        assert write_store(tmp_path / "s", records(files), SIDE, "auto")[0].kind == "encoded"
        assert write_store(tmp_path / "s", records(files), 8, "auto")[0].kind == "pixels"

    def test_full_disk_while_shards_are_written_is_one_error(self, make, monkeypatch, tmp_path):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(shards.ShardWriter, "append", lambda self, _: self._start() and full())
        with pytest.raises(DataError, match="free space") as error:
            make("encoded")
        assert error.value.fields["path"].suffix == ".bin"
        assert not list((tmp_path / "encoded").glob("[!.]*"))
