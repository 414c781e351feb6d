"""Every reader of files, with a valid file to start from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

import mlic.datasets as ds
from mlic.caching.blocks import digest_tree, read_rows
from mlic.caching.memmap import open_memmap
from mlic.caching.store import ArtifactStore
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.datasets.graph import GraphDataset
from mlic.datasets.groups import GroupsDataset
from mlic.distillation.targets import SoftTargets
from mlic.images.decode import decode_image
from mlic.images.store import ImageStore
from mlic.inference.known import read_known
from mlic.inference.listing import list_images
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.partition import Partition
from mlic.labels.partition.cover import user_partition
from mlic.labels.statistics import count_blocks, count_labels
from mlic.labels.word_vectors import read_glove
from mlic.tracking.settings import read_settings
from robustness_study.odd import mutate_bytes, mutate_json, mutate_text, mutate_tree

__all__ = ["READERS", "Reader"]

NAMES = ("cat", "dog", "sofa")
SPACE = LabelSpace(NAMES)
STATES = np.array([[1, 0, 1], [0, 1, -1], [1, 1, 0], [0, 0, 1]], dtype=np.int8)
IDS = [f"{number:03}.jpg" for number in range(4)]
SPLITS = ["train", "train", "validation", "test"]
Change = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Reader:
    """What is read, how its file is changed, and how a valid file is written.

    `write` gets an empty folder and returns the file that is changed; `read` gets that file.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    change: Change


def _text(content: bytes, random: Random) -> bytes:
    return mutate_text(content.decode(), random)


def _json(content: bytes, random: Random) -> bytes:
    return mutate_json(content.decode(), random)


def _images(folder: Path) -> None:
    for name in IDS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def _file(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        _images(folder)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return write


def _load(kind: Any, up: int = -1, **options: Any) -> Callable[[Path], Any]:
    """Load by a dataset whose path is the file, or the folder so many levels above it."""

    def read(file: Path) -> Any:
        place = str(file if up < 0 else file.parents[up])
        return (
            kind(filepath=place, **options).load()
            if kind is GraphDataset
            else kind(place, **options).load()
        )

    return read


def _json_object(file: Path) -> dict[str, Any]:
    """Read the changed file of a reader whose real file is made from it; {} if it is no object."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


# --- lists and tables -----------------------------------------------------------------------------

LABELS = "path,labels,split,group\n" + "".join(
    f"{name},{';'.join(n for n, s in zip(NAMES, row, strict=True) if s == 1)},{split},g{i}\n"
    for i, (name, row, split) in enumerate(zip(IDS, STATES, SPLITS, strict=True))
)
COLUMNS = "path,cat,dog,sofa\n" + "".join(
    f"{name},{','.join(map(str, row))}\n" for name, row in zip(IDS, STATES, strict=True)
)
KNOWN = "image,present,absent\n000.jpg,cat,dog\n001.jpg,,sofa;cat\n"


def _parquet(column: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        _images(folder)
        names = [[n for n, s in zip(NAMES, row, strict=True) if s == 1] for row in STATES]
        labels = names if column == "names" else STATES.tolist()
        table = pd.DataFrame({"path": IDS, "labels": labels, "split": SPLITS})
        table.to_parquet(folder / "m.parquet", index=False)
        return folder / "m.parquet"

    return write


def _odd_parquet(file: Path) -> Any:
    """Read a Parquet table that is written from an odd JSON tree of columns."""
    columns = _json_object(file)
    made = file.with_suffix(".parquet")
    try:
        pd.DataFrame({str(key): value for key, value in columns.items()}).to_parquet(made)
    except Exception:  # pandas or Arrow refuse to write it: nothing to read
        return None
    return ds.ManifestDataset(str(made), folder=str(file.parent)).load()


def _coco(folder: Path) -> Path:
    _images(folder / "train2014")
    content = {
        "categories": [{"id": 3 * i + 1, "name": name} for i, name in enumerate(NAMES)],
        "images": [{"id": i, "file_name": name} for i, name in enumerate(IDS)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1 + 3 * (i % 3)} for i in range(4)],
    }
    file = folder / "annotations/instances_train2014.json"
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    return file


def _captions(folder: Path) -> Path:
    for part in ("train", "val"):
        _images(folder / f"{part}2014")
        content = {
            "images": [{"id": i, "file_name": name} for i, name in enumerate(IDS)],
            "annotations": [{"image_id": i, "caption": "A cat and dogs"} for i in range(4)],
        }
        file = folder / f"annotations/captions_{part}2014.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return folder / "annotations/captions_train2014.json"


def _genome(folder: Path, name: str) -> Path:
    _images(folder / "VG_100K")
    index = {name: [i % 3] for i, name in enumerate(IDS)}
    (folder / "vg_category_3_labels_index.json").write_text(json.dumps(index))
    (folder / "train_list_3.txt").write_text("000.jpg\n001.jpg\n")
    (folder / "test_list_3.txt").write_text("002.jpg\n003.jpg\n")
    return folder / name


def _nuswide(folder: Path, name: str) -> Path:
    _images(folder / "images")
    (folder / "ImageList").mkdir()
    truth = folder / "Groundtruth/TrainTestLabels"
    truth.mkdir(parents=True)
    (folder / "Concepts81.txt").write_text("\n".join(NAMES))
    for part, ids in (("Train", IDS[:2]), ("Test", IDS[2:])):
        (folder / f"ImageList/{part}Imagelist.txt").write_text("\n".join(ids))
        for label in NAMES:
            (truth / f"Labels_{label}_{part}.txt").write_text("0\n1\n")
    return folder / name


def _nuswide_table(folder: Path) -> Path:
    _images(folder / "images")
    rows = [f"{name},\"['cat', 'dog']\",train\n" for name in IDS]
    (folder / "nus_wid_data.csv").write_text("filepath,label,split_name\n" + "".join(rows))
    return folder / "nus_wid_data.csv"


def _voc(folder: Path) -> Path:
    from mlic.datasets.voc import CLASSES

    root = folder / "VOC2007"
    _images(root / "JPEGImages")
    (root / "ImageSets/Main").mkdir(parents=True)
    for part, ids in (("train", IDS[:2]), ("val", IDS[2:])):
        for label in CLASSES:
            lines = "".join(f"{name[:-4]} {' 1' if label == 'cat' else '-1'}\n" for name in ids)
            (root / f"ImageSets/Main/{label}_{part}.txt").write_text(lines)
    return root / "ImageSets/Main/cat_train.txt"


def _cub(folder: Path, name: str) -> Path:
    _images(folder / "images")
    texts = {
        "images.txt": "".join(f"{i} {name}\n" for i, name in enumerate(IDS)),
        "classes.txt": "1 001.crow\n2 002.gull\n",
        "image_class_labels.txt": "0 1\n1 1\n2 2\n3 2\n",
        "train_test_split.txt": "0 1\n1 0\n2 1\n3 0\n",
        "attributes.txt": "1 has_bill::long\n2 has_wing::red\n",
        "attributes/image_attribute_labels.txt": "".join(
            f"{i} {a} {(i + a) % 2} 3 1.5\n" for i in range(4) for a in (1, 2)
        ),
    }
    (folder / "attributes").mkdir()
    for path, text in texts.items():
        (folder / path).write_text(text)
    return folder / name


# --- mlic's own files -----------------------------------------------------------------------------


def _saved(kind: Any, name: str, data: Any, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        place = str(folder / name)
        made = kind(filepath=place, **options) if kind is GraphDataset else kind(place, **options)
        made.save(data)
        return folder / name

    return write


def _matrix() -> LabelMatrix:
    return LabelMatrix(SPACE, np.asarray(IDS), STATES, np.asarray(SPLITS))


def _row_groups(folder: Path) -> Path:
    file = _saved(ds.LabelMatrixDataset, "l.parquet", _matrix())(folder)
    pq.write_table(pq.read_table(file), file, row_group_size=2)
    return file


def _count_stored(file: Path) -> Any:
    labels = ds.LabelMatrixDataset(str(file)).load()
    return count_blocks((states for states, _ in labels.blocks()), labels.space)


def _resigned(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Sign an odd safetensors content, so that the digest does not notice it first."""

    def signed(file: Path) -> Any:
        content = _json_object(file)
        tensors = content.get("tensors")
        metadata = content.get("metadata")
        if not isinstance(tensors, dict) or not isinstance(metadata, dict):
            return None
        arrays = {}
        for name, value in tensors.items():
            try:
                array = np.asarray(value)
            except (ValueError, OverflowError):
                continue
            if array.dtype.kind in "biuf":
                arrays[name] = array
        target = file.with_suffix(".safetensors")
        try:
            texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
            save_tensors(target, arrays, texts)
        except UnicodeEncodeError:  # half of a surrogate pair: it cannot be written
            return None
        return read(target)

    return signed


def _tensors(data: Any) -> Callable[[Path], Path]:
    """Write tensors and metadata of an object as JSON, which is changed like any other tree."""

    def write(folder: Path) -> Path:
        tensors, metadata = data().to_tensors()
        about = {}
        for key, text in metadata.items():
            try:
                about[key] = json.loads(text)
            except ValueError:
                about[key] = text
        about["cls"] = f"{type(data()).__module__}.{type(data()).__qualname__}"
        content = {"tensors": {k: v.tolist() for k, v in tensors.items()}, "metadata": about}
        (folder / "object.json").write_text(json.dumps(content))
        return folder / "object.json"

    return write


def _load_tensors_as(cls: str) -> Callable[[Path], Any]:
    return _resigned(lambda file: ds.SafetensorsDataset(str(file), cls=cls).load())


def _checkpoint() -> Any:
    from mlic.models.options import ModelOptions
    from mlic.training.checkpoint import Checkpoint, CheckpointInfo

    info = CheckpointInfo(
        name="baseline", role="baseline", labels=NAMES, label_fingerprint=SPACE.fingerprint,
        model=ModelOptions(backbone="resnet10t", head="linear"), image_size=32, mean=(0.5,) * 3,
        std=(0.2,) * 3, components={}, epoch=1, averaged=False, validation_map=0.5, seconds=1.0,
        history=[{"loss": 1.0}],
    )  # fmt: skip
    return Checkpoint({"w": np.eye(2, dtype=np.float32)}, info)


def _memmap(data: Any, suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        data.save(folder)
        return folder / f"{data.kind}{suffix}"

    return write


def _open(cls: Any) -> Callable[[Path], Any]:
    def read(file: Path) -> Any:
        found = cls.open(file.parent)
        return read_rows(open_memmap(file.with_suffix(".npy"))[0]), found

    return read


def _sign_description(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Sign an odd description, so that the digest does not notice it first."""

    def signed(file: Path) -> Any:
        content = _json_object(file)
        if {"description", "array"} <= content.keys():
            content["digest"] = digest_tree({k: content[k] for k in ("description", "array")})
            file.write_text(json.dumps(content))
        return read(file)

    return signed


def _description_only(content: bytes, random: Random) -> bytes:
    tree = json.loads(content)
    tree["description"] = mutate_tree(tree["description"], random)
    return json.dumps(tree).encode()


STORE = ImageStore.from_arrays(IDS, np.arange(4 * 192, dtype=np.uint8).reshape(4, 8, 8, 3))
TARGETS = SoftTargets(
    SPACE, np.asarray(IDS), {"cgp": np.ones((2, 4, 3), np.float32)}, {"views": 2, "seed": 0},
    {"teachers.cgp_0": "abc"}, {"cgp": "def"},
)  # fmt: skip


def _find(file: Path) -> Any:
    store = ArtifactStore(file.parent, "store")
    return store.load(file.stem, {"a": 1})


def _store(folder: Path) -> Path:
    return ArtifactStore(folder, "store").save("x", {"a": 1}, {"w": np.eye(3)}, {"t": "text"})


def _settings(file: Path) -> Any:
    raw = yaml.safe_load(file.read_bytes().decode("utf-8", "replace").replace("\x00", ""))
    return read_settings(raw, file.parent)


def _settings_file(content: bytes, random: Random) -> bytes:
    return yaml.safe_dump(mutate_tree(yaml.safe_load(content), random)).encode()


def _glove(file: Path) -> Any:
    return read_glove(file, NAMES, 4)


def _npz(folder: Path) -> Path:
    np.savez(folder / "v.npz", names=np.asarray(NAMES), vectors=np.eye(3, 4))
    return folder / "v.npz"


def _png(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.asarray(STORE.pixels[0])).save(folder / "a.png")
    return folder / "a.png"


def _jpeg(folder: Path) -> Path:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.asarray(STORE.pixels[0])).save(folder / "a.jpg", exif=exif)
    return folder / "a.jpg"


GRAPH = nx.Graph([("cat", "dog", {"weight": 0.5}), ("dog", "sofa", {"weight": 0.25})])
PARTITION = Partition(SPACE, "user", ((0, 1), (2,)))
GLOVE = "".join(f"{name} 0.1 0.2 0.3 0.4\n" for name in NAMES)
EDGES = {"load_args": {"edges": "edges"}, "save_args": {"edges": "edges"}}
TABLE = pd.DataFrame({"label": NAMES, "n": [1, 2, 3]})

READERS = [
    Reader("manifest, delimited labels", _file("m.csv", LABELS), _load(ds.ManifestDataset), _text),
    Reader("manifest, one column a class", _file("m.csv", COLUMNS), _load(ds.ManifestDataset),
           _text),
    Reader("manifest, Parquet of names", _parquet("names"), _load(ds.ManifestDataset),
           mutate_bytes),
    Reader("manifest, Parquet of states", _parquet("states"),
           _load(ds.ManifestDataset, classes=list(NAMES)), mutate_bytes),
    Reader("manifest, odd columns in Parquet",
           _file("m.json", json.dumps({"path": IDS, "labels": [["cat"]] * 4, "split": SPLITS})),
           _odd_parquet, _json),
    Reader("list of images to predict", _file("l.csv", LABELS),
           lambda file: list(list_images(file).read()), _text),
    Reader("list of images to predict, Parquet", _parquet("names"),
           lambda file: list(list_images(file).read()), mutate_bytes),
    Reader("known labels", _file("k.csv", KNOWN), read_known, _text),
    Reader("groups", _file("g.json", json.dumps([["cat", "dog"], ["sofa"]])),
           lambda file: user_partition(GroupsDataset(str(file)).load(), SPACE), _json),
    Reader("COCO", _coco, _load(ds.CocoDataset, 1), _json),
    Reader("COCO captions", _captions, _load(ds.CocoCaptionsDataset, 1, num_labels=2), _json),
    Reader("Visual Genome, index", lambda f: _genome(f, "vg_category_3_labels_index.json"),
           _load(ds.VisualGenomeDataset, 0, num_labels=3), _json),
    Reader("Visual Genome, list", lambda f: _genome(f, "train_list_3.txt"),
           _load(ds.VisualGenomeDataset, 0, num_labels=3), _text),
    Reader("NUS-WIDE, image list", lambda f: _nuswide(f, "ImageList/TrainImagelist.txt"),
           _load(ds.NusWideDataset, 1), _text),
    Reader("NUS-WIDE, concepts", lambda f: _nuswide(f, "Concepts81.txt"),
           _load(ds.NusWideDataset, 0), _text),
    Reader("NUS-WIDE, states",
           lambda f: _nuswide(f, "Groundtruth/TrainTestLabels/Labels_cat_Train.txt"),
           _load(ds.NusWideDataset, 2), _text),
    Reader("NUS-WIDE, table", _nuswide_table, _load(ds.NusWideDataset, 0), _text),
    Reader("VOC", _voc, _load(ds.VocDataset, 3, year=2007), _text),
    *(Reader(f"CUB, {name}", lambda f, name=name: _cub(f, name),  # type: ignore[misc]
             _load(ds.CubDataset, name.count("/"), min_species=1), _text)
      for name in ("images.txt", "classes.txt", "image_class_labels.txt", "attributes.txt",
                   "attributes/image_attribute_labels.txt")),
    Reader("word vectors, text", _file("v.txt", GLOVE), _glove, _text),
    Reader("word vectors, npz", _npz, _glove, mutate_bytes),
    Reader("image, PNG", _png, lambda file: decode_image(file, 8), mutate_bytes),
    Reader("image, JPEG", _jpeg, lambda file: decode_image(file, 8), mutate_bytes),
    Reader("mlflow.yml", _file("m.yml", "{tracking_uri: 'sqlite:///m.db', experiment: a, "
                               "sampling_seconds: 5}"), _settings, _settings_file),
    Reader("partition", _saved(ds.JSONObjectDataset, "p.json", PARTITION,
                               cls="mlic.labels.partition.Partition"),
           _load(ds.JSONObjectDataset, cls="mlic.labels.partition.Partition"), _json),
    Reader("graph", _saved(GraphDataset, "g.json", GRAPH, **EDGES), _load(GraphDataset, **EDGES),
           _json),
    Reader("table", _saved(ds.TableDataset, "t.csv", TABLE, text=["label"]),
           _load(ds.TableDataset, text=["label"]), _text),
    Reader("label matrix", _saved(ds.LabelMatrixDataset, "l.parquet", _matrix()),
           _load(ds.LabelMatrixDataset), mutate_bytes),
    Reader("label matrix, row groups", _row_groups, _count_stored, mutate_bytes),
    Reader("safetensors", _store, load_tensors, mutate_bytes),
    Reader("store", _store, _find, mutate_bytes),
    Reader("statistics, signed", _tensors(lambda: count_labels(STATES, SPACE)),
           _load_tensors_as("mlic.labels.statistics.LabelStatistics"), _json),
    Reader("checkpoint, signed", _tensors(_checkpoint),
           _load_tensors_as("mlic.training.checkpoint.Checkpoint"), _json),
    Reader("images, pixels", _memmap(STORE, ".npy"), _open(ImageStore), mutate_bytes),
    Reader("images, description", _memmap(STORE, ".json"), _open(ImageStore), _json),
    Reader("images, signed", _memmap(STORE, ".json"), _sign_description(_open(ImageStore)),
           _description_only),
    Reader("soft targets, values", _memmap(TARGETS, ".npy"), _open(SoftTargets), mutate_bytes),
    Reader("soft targets, signed", _memmap(TARGETS, ".json"), _sign_description(_open(SoftTargets)),
           _description_only),
]  # fmt: skip
