import io
import logging

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image
from pydantic import ValidationError

from mlic.datasets import DirectoryDataset, ImageStoreDataset, LabelMatrixDataset, ManifestDataset
from mlic.errors import DataError
from mlic.images.options import DataOptions, SyntheticOptions
from mlic.images.records import ImageRecords
from mlic.labels import LabelMatrix, LabelSpace
from mlic.pipelines.data_preparation import create_pipeline
from mlic.pipelines.data_preparation.nodes import decode_images, split_images

NOTHING = pd.DataFrame({"id": [], "source": [], "reason": []}, dtype="str")


def encoded(seed=0):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "jpeg")
    return buffer.getvalue()


def raw_of(n=40, split="", groups=None, states=None, sources=None):
    if states is None:
        states = (np.random.default_rng(0).random((n, 3)) < 0.5).astype(np.int8)
    splits = [split] * n if isinstance(split, str) else split
    labels = LabelMatrix(
        LabelSpace(("ant", "bee", "cat")), [f"p{i}" for i in range(n)], states, splits
    )
    return ImageRecords(labels, sources or [b""] * n, groups)


def options(**changes):
    return DataOptions(
        **({"image_size": 8, "validation_fraction": 0.25, "test_fraction": 0.25} | changes)
    )


def sizes(labels):
    return [len(labels.rows(split)) for split in ("train", "validation", "test")]


class TestSplit:
    def test_without_declared_splits_all_three_are_made(self):
        labels = split_images(raw_of(), NOTHING, options(), 0)
        assert np.abs(np.subtract(sizes(labels), [20, 10, 10])).max() <= 2
        assert labels.ids.tolist() == raw_of().labels.ids.tolist()

    def test_it_is_the_seeds_alone(self):
        splits = [split_images(raw_of(), NOTHING, options(), seed).split for seed in (0, 0, 1)]
        np.testing.assert_array_equal(splits[0], splits[1])
        assert (splits[0] != splits[2]).any()

    def test_declared_test_images_stay_and_no_others_join(self):
        declared = ["train"] * 30 + ["test"] * 10
        labels = split_images(raw_of(split=declared), NOTHING, options(), 0)
        assert labels.rows("test").tolist() == list(range(30, 40))
        assert sum(sizes(labels)) == 40 and 6 <= sizes(labels)[1] <= 9

    def test_all_declared_is_left_alone(self):
        declared = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
        assert (
            split_images(raw_of(split=declared), NOTHING, options(), 0).split.tolist() == declared
        )

    def test_undeclared_images_join_training_with_a_warning(self, caplog):
        declared = ["train"] * 18 + [""] * 2 + ["validation"] * 10 + ["test"] * 10
        labels = split_images(raw_of(split=declared), NOTHING, options(), 0)
        assert sizes(labels) == [20, 10, 10]
        assert "2 images declare no split" in caplog.text

    def test_quarantined_images_are_left_out(self):
        out = pd.DataFrame({"id": ["p0", "p39"], "source": "", "reason": ""})
        labels = split_images(raw_of(), out, options(), 0)
        assert len(labels) == 38 and not {"p0", "p39"} & set(labels.ids.tolist())

    def test_groups_stay_together(self):
        groups = np.asarray([f"g{i // 4}" for i in range(40)])
        labels = split_images(raw_of(groups=groups), NOTHING, options(), 0)
        assert all(len(set(labels.split[groups == group])) == 1 for group in groups)

    def test_declared_splits_must_not_tear_groups(self):
        declared = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
        groups = np.asarray([f"g{i}" for i in range(40)])
        groups[39] = "g0"
        with pytest.raises(DataError, match="group 'g0' is in the splits 'train' and 'test'"):
            split_images(raw_of(split=declared, groups=groups), NOTHING, options(), 0)

    @pytest.mark.parametrize(
        ("declared", "name"),
        [(["validation", "test"] * 20, "train"), (["test"] * 40, "train")],
    )
    def test_an_empty_split_is_an_error(self, declared, name):
        with pytest.raises(DataError, match=f"the split '{name}' is empty"):
            split_images(raw_of(split=declared), NOTHING, options(), 0)


class TestRareLabels:
    def states(self):
        states = np.ones((40, 3), dtype=np.int8)
        states[:, 1] = 0
        states[20:, 1] = 1  # present in validation and test alone
        states[3:, 2] = -1
        return states

    DECLARED = ("train",) * 20 + ("validation",) * 10 + ("test",) * 10

    def test_a_label_without_training_images_is_an_error_with_the_mend(self):
        raw = raw_of(split=self.DECLARED, states=self.states())
        with pytest.raises(DataError, match=r"no training image, 1 of 3: bee.*drop_labels_below=1"):
            split_images(raw, NOTHING, options(), 0)

    @pytest.mark.parametrize(
        ("below", "kept"), [(1, ("ant", "cat")), (3, ("ant", "cat")), (4, ("ant",))]
    )
    def test_rare_labels_are_dropped_and_told(self, below, kept, caplog):
        raw = raw_of(split=self.DECLARED, states=self.states())
        labels = split_images(raw, NOTHING, options(drop_labels_below=below), 0)
        assert labels.space.names == kept and len(labels) == 40
        assert "bee" in caplog.text

    def test_no_label_left_is_an_error(self):
        raw = raw_of(split=self.DECLARED, states=self.states())
        with pytest.raises(DataError, match="fewer than 99"):
            split_images(raw, NOTHING, options(drop_labels_below=99), 0)


class TestDecode:
    def sources(self, bad):
        good, truncated = encoded(), encoded()[:-300]
        return [truncated if i in bad else good for i in range(40)]

    def test_a_few_unreadable_images_are_set_aside(self, tmp_path, caplog):
        raw = raw_of(sources=self.sources({3}))
        store, quarantine = decode_images(raw, options(), tmp_path)
        labels = split_images(raw, quarantine, options(), 0)
        assert (
            quarantine["id"].tolist() == ["p3"] and "truncated" in quarantine["reason"][0].lower()
        )
        assert store.ids.tolist() == labels.ids.tolist()
        assert "1 of 40 images are unreadable" in caplog.text

    @pytest.mark.parametrize(("share", "bad"), [(0.01, {3, 4}), (0, {3}), (0.05, {1, 2, 3})])
    def test_more_than_allowed_is_an_error(self, tmp_path, share, bad):
        raw = raw_of(sources=self.sources(bad))
        with pytest.raises(DataError, match=r"of 40 images are unreadable .*data\.max_unreadable"):
            decode_images(raw, options(max_unreadable=share), tmp_path)

    def test_the_store_may_be_larger_than_the_models_input(self, tmp_path):
        store, _ = decode_images(
            raw_of(2, sources=[encoded()] * 2), options(store_size=12), tmp_path
        )
        assert store.size == 12


@pytest.mark.parametrize(
    "wrong",
    [
        {"test_fraction": 0},
        {"validation_fraction": 0.6},
        {"validation_fraction": 0.5, "test_fraction": 0.5},
        {"colour": "red"},
        {"source": "web"},
        {"drop_labels_below": 0},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        DataOptions(**wrong)


def catalog_of(folder, **entries):
    catalog = DataCatalog()
    catalog["params:data"] = MemoryDataset(options())
    catalog["params:seed"] = MemoryDataset(0)
    catalog["images_folder"] = DirectoryDataset(str(folder / "images"))
    catalog["images"] = ImageStoreDataset(str(folder / "images"))
    catalog["labels"] = LabelMatrixDataset(str(folder / "labels.parquet"))
    for name, entry in entries.items():
        catalog[name] = entry
    return catalog


def check_prepared(catalog):
    store, labels = catalog["images"].load(), catalog["labels"].load()
    assert store.ids.tolist() == labels.ids.tolist()
    assert all(sizes(labels))
    return store, labels


def test_the_pipeline_on_scenes(tmp_path):
    scenes = SyntheticOptions(num_images=60, size=64)
    catalog = catalog_of(tmp_path, **{"params:synthetic": MemoryDataset(scenes)})
    SequentialRunner().run(create_pipeline(), catalog)
    store, _ = check_prepared(catalog)
    assert (len(store), store.size) == (60, 8)


def test_the_pipeline_on_a_manifest_and_again(tmp_path, caplog):
    for i in range(40):
        (tmp_path / f"{i}.jpg").write_bytes(encoded(i))
    names = ("ant", "bee", "cat")
    rows = [f"{i}.jpg,{names[i % 3]};{names[i // 3 % 3]}" for i in range(40)]
    (tmp_path / "images.csv").write_text("\n".join(["path,labels", *rows]))
    manifest = ManifestDataset(str(tmp_path / "images.csv"))
    catalog = catalog_of(tmp_path, raw_images=manifest)
    SequentialRunner().run(create_pipeline("catalog"), catalog)
    first = check_prepared(catalog)
    with caplog.at_level(logging.INFO, "mlic"):
        SequentialRunner().run(create_pipeline("catalog"), catalog)
    second = check_prepared(catalog)
    assert "is up to date" in caplog.text
    assert [x.fingerprint for x in first] == [x.fingerprint for x in second]
