"""What Kedro-Viz shows of images, graphs, models and large arrays."""

import base64
import io
import json

import networkx as nx
import numpy as np
import pytest
from PIL import Image

from mlic.datasets import ImageStoreDataset, MemmapDataset, SafetensorsDataset
from mlic.datasets.graph import GraphDataset
from mlic.training.train import make_task, train


def test_images_are_shown_side_by_side(images, tmp_path):
    dataset = ImageStoreDataset(filepath=str(tmp_path / "images"))
    dataset.save(images)
    sheet = Image.open(io.BytesIO(base64.b64decode(dataset.preview(number=5))))
    assert sheet.size == (3 * 32, 2 * 32)
    first = np.asarray(sheet.convert("RGB"))[:32, :32].mean()
    assert first == pytest.approx(images.pixels[0].mean(), abs=2)


def test_model_is_described_without_its_weights(make_job, tmp_path):
    cls = "mlic.training.checkpoint.Checkpoint"
    dataset = SafetensorsDataset(filepath=str(tmp_path / "m.safetensors"), cls=cls)
    dataset.save(train(make_task(make_job()))[0])
    shown = json.loads(dataset.preview())
    assert shown["name"] == "baseline" and shown["labels"] == ["red", "green", "blue", "bright"]
    assert shown["number of arrays"] > len(shown["arrays"]) == 10


def test_strongest_edges_of_a_graph_come_first(tmp_path):
    graph = nx.Graph()
    graph.add_weighted_edges_from([("a", "b", 0.25), ("b", "c", 0.5), ("a", "c", 0.125)])
    dataset = GraphDataset(
        filepath=str(tmp_path / "g.json"),
        load_args={"edges": "edges"},
        save_args={"edges": "edges"},
    )
    dataset.save(graph)
    assert [row[2] for row in dataset.preview(nrows=2)["data"]] == [0.5, 0.25]


def test_large_array_is_described_by_its_shape(images, tmp_path):
    images.save(tmp_path / "x")
    dataset = MemmapDataset(filepath=str(tmp_path / "x"), cls="mlic.images.store.ImageStore")
    shown = json.loads(dataset.preview())
    assert shown["arrays"] == {"pixels": [36, 32, 32, 3]}
    assert shown["fingerprint"] == images.fingerprint
