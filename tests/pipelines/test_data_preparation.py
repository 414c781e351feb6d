import io
import logging

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image
from pydantic import ValidationError

from mlic.config.shape import RunShape
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
    def test_quarantined_images_are_left_out(self):
        out = pd.DataFrame({"id": ["p0", "p39"], "source": "", "reason": ""})
        labels = split_images(raw_of(), out, options(), 0)
        assert len(labels) == 38 and not {"p0", "p39"} & set(labels.ids.tolist())

    def test_groups_stay_together_and_rare_labels_are_dropped(self):
        groups = np.asarray([f"g{i // 4}" for i in range(40)])
        states = np.ones((40, 3), dtype=np.int8)
        states[1:, 1] = 0
        raw = raw_of(groups=groups, states=states)
        labels = split_images(raw, NOTHING, options(drop_labels_below=2), 0)
        assert labels.space.names == ("ant", "cat")
        assert all(len(set(labels.split[groups == group])) == 1 for group in groups)


class TestDecode:
    def sources(self, bad):
        good, truncated = encoded(), encoded()[:-300]
        return [truncated if i in bad else good for i in range(40)]

    def test_few_unreadable_images_are_left_out(self, tmp_path, caplog):
        raw = raw_of(sources=self.sources({3}))
        store, quarantine = decode_images(raw, options(), tmp_path)
        labels = split_images(raw, quarantine, options(), 0)
        assert (
            quarantine["id"].tolist() == ["p3"] and "truncated" in quarantine["reason"][0].lower()
        )
        assert store.ids.tolist() == labels.ids.tolist()
        assert "1 of 40 images" in caplog.text

    @pytest.mark.parametrize(("share", "bad"), [(0.01, {3, 4}), (0, {3}), (0.05, {1, 2, 3})])
    def test_too_many_unreadable_images_are_refused(self, tmp_path, share, bad):
        raw = raw_of(sources=self.sources(bad))
        with pytest.raises(DataError) as error:
            decode_images(raw, options(max_unreadable=share), tmp_path)
        assert error.value.fields["parameter"] == "data.max_unreadable"
        assert error.value.fields["found"] == len(bad)

    def test_store_may_have_larger_images_than_the_model(self, tmp_path):
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
        {"store": "zip"},
        {"store": "encoded", "store_quality": 0},
        {"store": "auto", "store_quality": 90},
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


def test_pipeline_prepares_synthetic_images(tmp_path):
    synthetic = SyntheticOptions(num_images=60, size=64)
    catalog = catalog_of(tmp_path, **{"params:synthetic": MemoryDataset(synthetic)})
    SequentialRunner().run(create_pipeline(RunShape()), catalog)
    store, _ = check_prepared(catalog)
    assert (len(store), store.size) == (60, 8)


def test_pipeline_prepares_a_manifest_and_reuses_the_store(tmp_path, caplog):
    for i in range(40):
        (tmp_path / f"{i}.jpg").write_bytes(encoded(i))
    names = ("ant", "bee", "cat")
    rows = [f"{i}.jpg,{names[i % 3]};{names[i // 3 % 3]}" for i in range(40)]
    (tmp_path / "images.csv").write_text("\n".join(["path,labels", *rows]))
    manifest = ManifestDataset(str(tmp_path / "images.csv"))
    catalog = catalog_of(tmp_path, raw_images=manifest)
    SequentialRunner().run(create_pipeline(RunShape(source="catalog")), catalog)
    first = check_prepared(catalog)
    with caplog.at_level(logging.INFO, "mlic"):
        SequentialRunner().run(create_pipeline(RunShape(source="catalog")), catalog)
    second = check_prepared(catalog)
    assert "is up to date" in caplog.text
    assert [x.fingerprint for x in first] == [x.fingerprint for x in second]
