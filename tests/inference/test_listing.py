"""Lists of images: folders, tables and records."""

import os

import numpy as np
import pandas as pd
import pytest

from mlic.errors import DataError
from mlic.images.records import ImageRecords
from mlic.inference.listing import list_images
from mlic.labels import LabelMatrix, LabelSpace


@pytest.fixture
def folder(tmp_path):
    """Images in a folder and in folders in it, beside other files."""
    for name in ("b.jpg", "a.PNG", "deep/er/c.webp", "notes.txt", "deep/d.jpeg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


def names(images):
    return [name for name, _ in images.read()]


def test_folder_is_read_with_all_folders_in_it(folder):
    images = list_images(folder)
    shown = [os.path.relpath(name, folder) for name in names(images)]
    assert shown == ["a.PNG", "b.jpg", "deep/d.jpeg", "deep/er/c.webp"]
    assert images.scan()[0] == 4
    assert names(images) == names(images)  # it can be read again


def test_links_to_folders_are_not_followed(folder):
    (folder / "circle").symlink_to(folder)
    assert list_images(folder).scan()[0] == 4


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["path", "image"])
def test_relative_paths_of_a_table_start_at_its_folder(folder, tmp_path, kind, column):
    table = pd.DataFrame({"note": ["x", "y"], column: ["b.jpg", str(folder / "a.PNG")]})
    file = folder / f"list.{kind}"
    table.to_csv(file, index=False) if kind == "csv" else table.to_parquet(file)
    found = dict(list_images(str(file)).read())
    assert found == {"b.jpg": folder / "b.jpg", str(folder / "a.PNG"): folder / "a.PNG"}


def test_records_are_read_by_their_ids():
    labels = LabelMatrix(LabelSpace(("a",)), ["1", "2"], np.zeros((2, 1), np.int8), ["", ""])
    images = list_images(ImageRecords(labels, [b"x", b"y"]))
    assert list(images.read()) == [("1", b"x"), ("2", b"y")]


def test_fingerprint_follows_names_and_files(folder):
    first = list_images(folder).scan()
    assert list_images(folder).scan() == first
    (folder / "b.jpg").write_bytes(b"another image")
    changed = list_images(folder).scan()
    (folder / "b.jpg").rename(folder / "bb.jpg")
    assert len({first[1], changed[1], list_images(folder).scan()[1]}) == 3


def test_folder_without_an_image_is_an_error(tmp_path):
    with pytest.raises(DataError) as raised:
        list_images(tmp_path).scan()
    assert raised.value.fields["path"] == str(tmp_path)


@pytest.mark.parametrize("content", [None, b"name,labels\na,b\n", b""])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_that_is_missing_or_has_no_paths_is_an_error(tmp_path, content, suffix):
    file = tmp_path / f"list{suffix}"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError) as raised:
        list_images(file)
    assert raised.value.fields["path"] == file
