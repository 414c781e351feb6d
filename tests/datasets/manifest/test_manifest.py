import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io import DatasetError

from mlic.datasets import DatasetDataError, ManifestDataset
from mlic.datasets.base import resolve_inside
from mlic.errors import DataError
from mlic.images.records import ImageRecords
from mlic.labels import LabelMatrix, LabelSpace

SHARED = Path(__file__).resolve().parents[3] / "../shared/data"


def csv_of(folder, text, name="images.csv", images=("a.jpg", "b.jpg", "c.jpg")):
    for image in images:
        (folder / image).write_bytes(b"encoded")
    file = folder / name
    file.write_text(text)
    return str(file)


def parquet_of(folder, classes=None, name="images.parquet", **columns):
    table = pa.table(columns)
    if classes is not None:
        table = table.replace_schema_metadata({"classes": json.dumps(classes)})
    pq.write_table(table, folder / name)
    return str(folder / name)


def fails(dataset, *words, **fields):
    """Check that loading raises Kedro's error and ours, with these words and these fields."""
    with pytest.raises(DatasetDataError) as caught:
        dataset.load()
    assert isinstance(caught.value, DataError) and isinstance(caught.value, DatasetError)
    message = str(caught.value)
    assert "Failed while loading" not in message
    assert all(word in message for word in words), message
    assert caught.value.fields.items() >= fields.items(), caught.value.fields


class TestForms:
    """The same labels in every form give the same states."""

    STATES = ((1, 0, -1), (0, 0, 0), (1, 1, 0))

    def check(self, filepath, space=("ant", "bee", "cat"), **options):
        raw = ManifestDataset(filepath, **options).load()
        assert raw.labels.space.names == space
        order = [space.index(name) for name in ("ant", "bee", "cat")]
        np.testing.assert_array_equal(raw.labels.states[:, order], self.STATES)
        return raw

    def test_delimited(self, tmp_path):
        raw = self.check(
            csv_of(tmp_path, "path,labels\na.jpg, ant ;?cat\nb.jpg,\nc.jpg,bee;ant;\n")
        )
        assert raw.labels.ids.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
        assert raw.sources[0] == (tmp_path / "a.jpg").resolve()
        assert raw.labels.split.tolist() == ["", "", ""] and raw.groups is None

    def test_other_delimiter(self, tmp_path):
        text = 'path,labels\na.jpg,"ant,?cat"\nb.jpg,\nc.jpg,"ant,bee"\n'
        self.check(csv_of(tmp_path, text), label_delimiter=",")

    def test_class_list_from_file_fixes_the_order(self, tmp_path):
        (tmp_path / "classes.txt").write_text("cat\nbee\n\nant\n")
        file = csv_of(tmp_path, "path,labels\na.jpg,ant;?cat\nb.jpg,\nc.jpg,ant;bee\n")
        self.check(file, ("cat", "bee", "ant"), classes=str(tmp_path / "classes.txt"))

    COLUMNS = (
        "image_id,path,bee,ant,cat,width\n007,a.jpg,0,1,-1,9\n2,b.jpg,0,0,0,9\n3,c.jpg,1,1,0,9\n"
    )

    def test_one_column_a_class(self, tmp_path):
        raw = self.check(csv_of(tmp_path, self.COLUMNS), ("bee", "ant", "cat"))
        assert raw.labels.ids[0] == "007"

    def test_columns_are_joined_with_a_class_list_by_name(self, tmp_path):
        classes = ["cat", "ant", "bee"]
        self.check(csv_of(tmp_path, self.COLUMNS), tuple(classes), classes=classes)

    def test_an_empty_cell_is_unknown(self, tmp_path):
        self.check(csv_of(tmp_path, self.COLUMNS.replace("-1", "")), ("bee", "ant", "cat"))

    def test_parquet_columns_with_gaps(self, tmp_path):
        columns = {"ant": [1, 0, 1], "bee": [0, 0, 1], "cat": [None, 0, 0]}
        raw = self.check(parquet_of(tmp_path, image=[b"1", b"2", b"3"], **columns))
        assert raw.labels.ids.tolist() == ["0", "1", "2"]

    def test_list_of_states(self, tmp_path):
        states = [list(row) for row in self.STATES]
        file = parquet_of(tmp_path, ["ant", "bee", "cat"], image=[b"1", b"2", b"3"], labels=states)
        assert self.check(file).sources == [b"1", b"2", b"3"]

    def test_list_of_names(self, tmp_path):
        names = pa.array([["ant"], [], ["ant", "bee"]], pa.list_(pa.string()))
        file = parquet_of(tmp_path, image_id=[5, 6, 7], image=[b"1", b"2", None], labels=names)
        raw = ManifestDataset(file).load()
        assert raw.labels.space.names == ("ant", "bee")
        assert raw.labels.states.tolist() == [[1, 0], [0, 0], [1, 1]]
        assert raw.labels.ids.tolist() == ["5", "6", "7"] and raw.sources[2] == b""


class TestHandWrittenCsv:
    """A CSV file as people write one."""

    GOOD = "path,labels\na.jpg,cat; ?dog\nb.jpg,dog\nc.jpg,\n"

    @pytest.mark.parametrize(
        "write",
        [
            lambda text: b"\xef\xbb\xbf" + text.encode(),
            lambda text: text.encode("utf-16"),
            lambda text: text.replace("\n", "\r\n").encode(),
            lambda text: text.replace("\n", "\r").encode(),
            lambda text: text.replace("\n", "\n\n,,\n").encode(),
            lambda text: text.replace(",", " , ").encode(),
            lambda text: text.replace("\n", ",\n").encode(),
            lambda text: text.replace("c.jpg,", "c.jpg").encode(),
            lambda text: ("," + text.replace("\n", "\n7,").removesuffix("7,")).encode(),
            lambda text: text.replace(",dog", ', "dog"').encode(),
            lambda text: text.replace(",", "\t").encode("utf-16"),
            lambda text: text.replace("cat; ?dog", '"cat; ?dog"').replace(",", ";").encode(),
        ],
        ids=[
            "byte-order mark", "UTF-16", "windows", "mac", "blank rows", "spaces", "empty column",
            "short row", "index column", "quotes", "tabulators", "semicolons",
        ],
    )  # fmt: skip
    def test_equivalent_files_are_read_the_same(self, tmp_path, write):
        wanted = ManifestDataset(csv_of(tmp_path, self.GOOD)).load()
        (tmp_path / "other.csv").write_bytes(write(self.GOOD))
        raw = ManifestDataset(str(tmp_path / "other.csv")).load()
        assert raw.labels.fingerprint == wanted.labels.fingerprint
        assert raw.sources == wanted.sources

    @pytest.mark.parametrize(
        ("old", "new", "words", "fields"),
        [
            ("path", "Path", ["'Path'", "'path'"], {}),
            ("path,labels", "file,tags", ["'file', 'tags'", "'path'"], {}),
            ("labels", "label", ["'labels'"], {"label": "label", "name": "a.jpg"}),
            ("labels\n", "labels,Split\n", ["'Split'", "'split'"], {}),
            ("labels\n", "labels,labels\n", [], {"name": "labels"}),
            (",", ";", [], {"line": 2, "expected": 2}),  # labels contain the separator too
            ("cat;", "cat,", ["line 2"], {"line": 2, "expected": 2}),
            ("b.jpg,dog", "b.jpg,dog,,,,,,,", [], {"line": 3, "expected": 2}),
            ("cat; ?dog", '"cat, ?dog"', ["';'", 'label_delimiter: ","'], {}),
            ("b.jpg,dog", "b.jpg,Dog", ["'Dog' and 'dog'", "'classes'"], {}),
            ("?dog", "dog?", ["?dog"], {}),
            ("?dog", "?", ["?dog"], {"name": "a.jpg"}),
            ("b.jpg,", 'b.jpg,"', ["quotation mark"], {}),
            ("a.jpg", "sub\\a.jpg", ["/", "\\"], {}),
            ("a.jpg", "b.jpg", ["'b.jpg'"], {}),
            (".jpg", ".png", ["3 of 3"], {"found": 3}),
            ("a.jpg", "/a.jpg", ["x.csv"], {"name": "/a.jpg"}),
            ("dog", "d\xf6g", ["UTF-8"], {}),
        ],
    )
    def test_mistake_is_refused_with_a_hint(self, tmp_path, old, new, words, fields):
        file = csv_of(tmp_path, self.GOOD, "x.csv")
        Path(file).write_bytes(self.GOOD.replace(old, new).encode("latin-1"))
        fails(ManifestDataset(file), file, *words, **fields)

    def test_labels_that_differ_in_the_encoding_of_accents_are_refused(self, tmp_path):
        for twin in ("fore\u0302t", "for\u200b\xeat", "\uff26or\xeat", "For\xcaT"):
            file = csv_of(tmp_path, f"path,labels\na.jpg,for\xeat\nb.jpg,{twin}\n")
            fails(ManifestDataset(file), ascii("for\xeat"), ascii(twin), "look the same")

    def test_ids_and_labels_are_text(self, tmp_path):
        text = "image_id,path,labels\n007,a.jpg,NA\nnull,b.jpg,1e5\nTrue,c.jpg,\n"
        labels = ManifestDataset(csv_of(tmp_path, text)).load().labels
        assert labels.ids.tolist() == ["007", "null", "True"]
        assert labels.space.names == ("1e5", "NA")

    def test_quoted_cells_may_contain_line_breaks(self, tmp_path):
        text = 'path,note,labels\na.jpg,"two\nlines",cat\nb.jpg,,dog\n'
        labels = ManifestDataset(csv_of(tmp_path, text)).load().labels
        assert labels.states.tolist() == [[1, 0], [0, 1]]

    def test_a_class_list_confirms_unusual_names(self, tmp_path):
        text = 'path,labels\na.jpg,Turkey\nb.jpg,who?\nc.jpg,"turkey, roast"\n'
        names = ["Turkey", "turkey", "who?", "turkey, roast"]
        raw = ManifestDataset(csv_of(tmp_path, text), classes=names).load()
        assert raw.labels.states.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from([1, 0, -1]), min_size=3, max_size=3), min_size=1))
def test_what_is_saved_is_read_back(tmp_path, states):
    n = len(states)
    ids, splits = [f"{i:03}" for i in range(n)], [("", "train", "test")[i % 3] for i in range(n)]
    labels = LabelMatrix(LabelSpace(("ü", "b;c", "?d")), ids, states, splits)
    raw = ImageRecords(labels, [bytes([i % 256]) for i in range(n)], np.asarray(ids))
    dataset = ManifestDataset(str(tmp_path / "saved.parquet"))
    dataset.save(raw)
    back = dataset.load()
    assert back.labels.fingerprint == labels.fingerprint
    assert back.sources == raw.sources and back.groups.tolist() == ids
    assert dataset.load_labels().fingerprint == labels.fingerprint


def test_paths_are_saved_relative_to_the_folder(tmp_path):
    file = csv_of(tmp_path, "path,labels\na.jpg,cat\nb.jpg,\n")
    raw = ManifestDataset(file).load()
    dataset = ManifestDataset(str(tmp_path / "lists" / "x.parquet"), folder=str(tmp_path))
    dataset.save(raw)
    assert pd.read_parquet(tmp_path / "lists" / "x.parquet")["path"].tolist() == ["a.jpg", "b.jpg"]
    assert dataset.load().sources == raw.sources
    for refused in (ManifestDataset(str(tmp_path / "lists" / "y.parquet")), ManifestDataset(file)):
        with pytest.raises(DatasetDataError):
            refused.save(raw)


def test_splits_and_groups_are_normalised(tmp_path):
    text = "path,labels,split,group\na.jpg,x,Train,g\nb.jpg,x,val,\nc.jpg,x,valid,g\n"
    raw = ManifestDataset(csv_of(tmp_path, text)).load()
    assert raw.labels.split.tolist() == ["train", "validation", "validation"]
    assert raw.groups[0] == raw.groups[2] == "g" != raw.groups[1]


class TestTestManifest:
    def test_its_rows_are_the_test_split_and_its_names_are_added(self, tmp_path):
        main = csv_of(tmp_path, "path,labels,group\na.jpg,cat,g\n")
        test = csv_of(tmp_path, "path,labels\nb.jpg,ant\n", "test.csv")
        raw = ManifestDataset(main, test_filepath=test).load()
        assert raw.labels.split.tolist() == ["", "test"]
        assert raw.labels.space.names == ("ant", "cat")
        assert raw.labels.states.tolist() == [[0, 1], [1, 0]]
        assert len(set(raw.groups)) == 2

    def test_two_test_splits_are_refused(self, tmp_path):
        main = csv_of(tmp_path, "path,labels,split\na.jpg,cat,test\n")
        test = csv_of(tmp_path, "path,labels\nb.jpg,ant\n", "test.csv")
        fails(ManifestDataset(main, test_filepath=test), main, test)

    def test_other_classes_are_refused_with_the_first_difference(self, tmp_path):
        columns = {"image": [b"1"], "labels": [[1, 0]]}
        main = parquet_of(tmp_path, ["ant", "bee"], image_id=["a"], **columns)
        test = parquet_of(tmp_path, ["ant", "cat"], "test.parquet", image_id=["b"], **columns)
        fails(ManifestDataset(main, test_filepath=test), "label 1 is 'bee'", "'cat'", test)

    def test_an_id_in_both_is_refused(self, tmp_path):
        main = csv_of(tmp_path, "path,labels\na.jpg,cat\n")
        test = csv_of(tmp_path, "path,labels\na.jpg,cat\n", "test.csv")
        fails(ManifestDataset(main, test_filepath=test), "'a.jpg'", main)


class TestRefusedManifests:
    def test_missing_images_are_counted(self, tmp_path):
        file = csv_of(tmp_path, "path,labels\na.jpg,x\nno.jpg,x\nnone.jpg,x\n")
        fails(ManifestDataset(file), "2 of 3", "no.jpg", file)

    def test_a_missing_manifest(self, tmp_path):
        fails(ManifestDataset(str(tmp_path / "no.csv")), "no.csv", path=tmp_path / "no.csv")
        assert not ManifestDataset(str(tmp_path / "no.csv")).exists()

    def test_a_label_outside_the_class_list(self, tmp_path):
        file = csv_of(tmp_path, "path,labels\na.jpg,cat\nb.jpg,cat;dgo\n")
        fails(ManifestDataset(file, classes=["cat", "dog"]), file, label="dgo", name="b.jpg")

    def test_columns_that_differ_from_the_class_list(self, tmp_path):
        file = csv_of(tmp_path, "path,cat,dgo\na.jpg,1,0\n")
        fails(ManifestDataset(file, classes=["cat"]), "'dgo'", file)
        fails(ManifestDataset(file, classes=["cat", "dgo", "eel"]), "'eel'", file)

    def test_duplicate_ids(self, tmp_path):
        file = csv_of(tmp_path, "image_id,path,labels\n7,a.jpg,x\n7,b.jpg,x\n")
        fails(ManifestDataset(file), "'7'", file)

    @pytest.mark.parametrize("text", ["", "path,labels\n"])
    def test_an_empty_manifest(self, tmp_path, text):
        file = csv_of(tmp_path, text)
        fails(ManifestDataset(file), file)

    @pytest.mark.parametrize("path", ["../out.jpg", "link.jpg", "inner/out.jpg", "{absolute}"])
    def test_a_path_that_leaves_the_folder(self, tmp_path, path):
        folder = tmp_path / "images"
        (folder / "sub").mkdir(parents=True)
        outside = tmp_path / "out.jpg"
        outside.write_bytes(b"x")
        (folder / "link.jpg").symlink_to(outside)
        (folder / "inner").symlink_to(tmp_path)
        file = csv_of(folder, f"path,labels\n{path.format(absolute=folder / 'a.jpg')},x\n")
        fails(ManifestDataset(file), str(folder), path=folder.resolve())
        fine = csv_of(folder, "path,labels\nsub/../a.jpg,x\n")
        assert len(ManifestDataset(fine).load()) == 1

    def test_an_unknown_split(self, tmp_path):
        file = csv_of(tmp_path, "path,labels,split\na.jpg,x,dev\n")
        fails(ManifestDataset(file), file, name="a.jpg", value="dev")

    def test_a_word_that_is_no_state(self, tmp_path):
        file = csv_of(tmp_path, "path,cat\na.jpg,yes\n")
        fails(ManifestDataset(file), "'yes'", file, label="cat", name="a.jpg")
        file = parquet_of(tmp_path, ["cat"], image_id=["a"], image=[b"1"], labels=[[2]])
        fails(ManifestDataset(file), "'2'", file, label="cat", name="a")

    def test_states_that_do_not_fit_the_classes(self, tmp_path):
        columns = {"image_id": ["a"], "image": [b"1"]}
        fails(
            ManifestDataset(parquet_of(tmp_path, ["cat"], **columns, labels=[[1, 0]])),
            name="a",
            found=2,
            expected=1,
        )
        fails(ManifestDataset(parquet_of(tmp_path, **columns, labels=[[1, 0]])), "class list")
        gap = pa.array([None], pa.list_(pa.int8()))
        fails(ManifestDataset(parquet_of(tmp_path, ["cat"], **columns, labels=gap)), name="a")

    def test_a_label_both_present_and_unknown(self, tmp_path):
        file = csv_of(tmp_path, "path,labels\na.jpg,cat;?cat\n")
        fails(ManifestDataset(file), label="cat", name="a.jpg")

    def test_missing_columns_and_ids(self, tmp_path):
        fails(ManifestDataset(csv_of(tmp_path, "path\na.jpg\n")), "labels")
        fails(ManifestDataset(csv_of(tmp_path, "image_id,labels\na,x\n")), "'path' or 'image'")
        fails(ManifestDataset(csv_of(tmp_path, "image_id,path,labels\n,a.jpg,x\n")), "image_id")
        fails(ManifestDataset(csv_of(tmp_path, "image,labels\na.jpg,x\n")), "bytes")
        fails(ManifestDataset(csv_of(tmp_path, "path,labels\na.jpg,x\n", "x.txt")), "x.txt")

    def test_a_damaged_parquet_file(self, tmp_path):
        (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
        fails(ManifestDataset(str(tmp_path / "x.parquet")), "x.parquet")


def test_preview_and_labels_read_no_images(tmp_path):
    file = csv_of(tmp_path, "path,labels,split\na.jpg,x;?y,val\ngone.jpg,y,\n")
    dataset = ManifestDataset(file)
    assert dataset.preview(1)["data"] == [["a.jpg", "validation", "x, ?y"]]
    assert len(dataset.load_labels()) == 2
    assert dataset.exists()
    assert dataset.preview.__annotations__["return"] == "TablePreview"


def test_dataset_survives_pickling(tmp_path):
    dataset = ManifestDataset(csv_of(tmp_path, "path,labels\na.jpg,x\n"), metadata={"layer": "raw"})
    twin = pickle.loads(pickle.dumps(dataset))
    assert twin.load().labels.fingerprint == dataset.load().labels.fingerprint
    assert twin.metadata == {"layer": "raw"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are absent")
class TestRealData:
    def test_corel5k(self):
        dataset = ManifestDataset(str(SHARED / "corel5k/corel5k_train.parquet"))
        raw = dataset.load()
        assert (len(raw), len(raw.labels.space)) == (4500, 374)
        assert raw.labels.in_split("train").states.sum() / 4500 == pytest.approx(3.52, abs=0.01)
        assert dataset.load_labels().fingerprint == raw.labels.fingerprint
        assert dataset.preview(1)["data"][0][2] == "city, mountain, sky, sun"

    def test_ucm17_with_its_test_manifest(self):
        raw = ManifestDataset(
            str(SHARED / "ucm17/ucm17_train_160.parquet"),
            test_filepath=str(SHARED / "ucm17/ucm17_test_160.parquet"),
        ).load()
        assert len(raw.labels.space) == 17
        assert [len(raw.labels.rows(split)) for split in ("train", "test")] == [1680, 420]


def test_links_are_followed_in_the_last_part_of_a_path_too(tmp_path):
    (tmp_path / "images" / "sub").mkdir(parents=True)
    folder = (tmp_path / "images").resolve()
    (folder / "again").symlink_to(folder / "sub")
    (folder / "sub" / "out").symlink_to(tmp_path)
    inside = resolve_inside(folder, ["sub/a.jpg", "again/a.jpg", "sub/../b.jpg", "./c.jpg"])
    names = [path.relative_to(folder).as_posix() for path in inside]
    assert names == ["sub/a.jpg", "sub/a.jpg", "b.jpg", "c.jpg"]
    for name in ("sub/..", "sub/../..", "sub/out", "again/out/x", "..", "."):
        with pytest.raises(DatasetDataError) as caught:
            resolve_inside(folder, [name])
        assert caught.value.fields == {"path": folder, "name": name}
