"""From the files of each data layout to groups of labels, with the catalogs of the environments.

Every layout contains the same images and labels, and must lead to the same results.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlic.datasets import ImageStoreDataset, LabelMatrixDataset
from mlic.datasets.voc import CLASSES

ROOT = Path(__file__).resolve().parents[2]
TRAIN, TEST, LABELS = 30, 10, 20
SMALL = {
    "data": {"image_size": 8, "store_size": 8, "validation_fraction": 0.3},
    "partition": {"num_parts": 2, "min_size": 8},  # leaves no other number to survey
}
PIPELINES = ["data_preparation", "label_statistics", "graph_partition"]


@pytest.fixture(scope="module")
def truth():
    """States of 20 labels in two communities; every label occurs in every split."""
    rng = np.random.default_rng(0)
    community = np.arange(TRAIN + TEST) % 2
    at_home = community[:, None] == np.arange(LABELS) // (LABELS // 2)
    return (rng.random(at_home.shape) < np.where(at_home, 0.6, 0.15)).astype(np.int8)


def draw(folder, names, first=0):
    """Write one grey image per name; its number determines its shade."""
    for number, name in enumerate(names, first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 10), 5 * number).save(path, "JPEG")


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def readme_environment(project, manifest):
    """Write the environment that README.md describes, with the path of a manifest."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]
    catalog, parameters = block.split("# conf/mine/parameters.yml\n")
    folder = project / "conf/mine"
    folder.mkdir()
    assert "/data/mine/manifest.csv" in catalog
    (folder / "catalog.yml").write_text(catalog.replace("/data/mine/manifest.csv", str(manifest)))
    (folder / "parameters.yml").write_text(parameters)


def as_manifest(project, folder, truth):
    names = [f"at {place}" for place in CLASSES]
    files = [f"images/{number}.jpg" for number in range(len(truth))]
    draw(folder, files)
    rows = ["path,labels,split"]
    for number, (file, states) in enumerate(zip(files, truth, strict=True)):
        present = ";".join(np.asarray(names)[states == 1])
        rows.append(f"{file},{present},{'train' if number < TRAIN else 'test'}")
    write_lines(folder / "manifest.csv", rows)
    readme_environment(project, folder / "manifest.csv")
    return "mine", files, names


def as_voc(project, folder, truth):
    ids = [f"{number:06}" for number in range(len(truth))]
    root = folder / "VOC2007"
    draw(root / "JPEGImages", [f"{name}.jpg" for name in ids])
    for part, rows in {"trainval": slice(TRAIN), "test": slice(TRAIN, None)}.items():
        for column, name in enumerate(CLASSES):
            states = 2 * truth[rows, column] - 1
            lines = [f"{i} {state:2d}" for i, state in zip(ids[rows], states, strict=True)]
            write_lines(root / f"ImageSets/Main/{name}_{part}.txt", lines)
    return "voc2007", ids, list(CLASSES)


def as_coco(project, folder, truth):
    categories = [{"id": 2 * column + 1, "name": name} for column, name in enumerate(CLASSES)]
    ids = []
    for part, rows in {"train": range(TRAIN), "val": range(TRAIN, len(truth))}.items():
        files = [f"COCO_{part}2014_{number:012}.jpg" for number in rows]
        draw(folder / f"{part}2014", files, rows.start)
        content = {
            "images": [{"id": i, "file_name": f} for i, f in zip(rows, files, strict=True)],
            "annotations": [
                {"image_id": i, "category_id": 2 * int(column) + 1, "iscrowd": 0}
                for i in rows
                for column in np.flatnonzero(truth[i])
            ],
            "categories": categories,
        }
        write_lines(folder / f"annotations/instances_{part}2014.json", [json.dumps(content)])
        ids += [f"{part}/{number}" for number in rows]
    return "coco2014", ids, list(CLASSES)


def as_nuswide(project, folder, truth):
    ids = [f"actor/{number:04}_77.jpg" for number in range(len(truth))]
    draw(folder / "Flickr", ids)
    write_lines(folder / "ConceptsList/Concepts81.txt", CLASSES)
    for part, rows in {"Train": slice(TRAIN), "Test": slice(TRAIN, None)}.items():
        listed = [name.replace("/", "\\") for name in ids[rows]]
        write_lines(folder / f"ImageList/{part}Imagelist.txt", listed)
        for column, name in enumerate(CLASSES):
            file = folder / f"Groundtruth/TrainTestLabels/Labels_{name}_{part}.txt"
            write_lines(file, [str(state) for state in truth[rows, column]])
    return "nuswide", ids, list(CLASSES)


@pytest.mark.parametrize("write", [as_manifest, as_voc, as_coco, as_nuswide])
def test_layout_leads_to_the_same_labels_images_and_groups(
    write, truth, tmp_path, copy_project, run_project
):
    project = copy_project(tmp_path)
    folder = tmp_path / "images on disk"
    env, ids, names = write(project, folder, truth)
    run_project(project, env, PIPELINES, folder=str(folder), **SMALL)

    labels = LabelMatrixDataset(
        filepath=str(project / f"data/03_primary/{env}/labels.parquet")
    ).load()
    place = {name: row for row, name in enumerate(labels.ids.tolist())}
    rows, columns = [place[name] for name in ids], labels.space.indices(names)
    np.testing.assert_array_equal(labels.states[np.ix_(rows, columns)], truth)
    assert set(labels.split[rows[:TRAIN]]) == {"train", "validation"}
    assert set(labels.split[rows[TRAIN:]]) == {"test"}

    store = ImageStoreDataset(filepath=str(project / f"data/03_primary/{env}/images")).load()
    shades = store.pixels[store.rows(np.asarray(ids))].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shades, 5 * np.arange(len(ids)), atol=3)

    for strategy in ("cgp", "dgp"):
        file = project / f"data/05_model_input/{env}/partition_{strategy}.json"
        parts = json.loads(file.read_text())["parts"]
        assert sorted(name for part in parts for name in part) == sorted(names)
        inside = [len({names.index(name) // (LABELS // 2) for name in part}) for part in parts]
        assert inside == ([1, 1] if strategy == "cgp" else [2, 2]), (
            "communities kept together or split"
        )
    assert (project / f"data/08_reporting/{env}/suggested_parts.json").is_file()
