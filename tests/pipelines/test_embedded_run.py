"""A whole run of a head that uses label embeddings made from the label graph."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlic.config.parameters import check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import RunShape, set_shape
from mlic.datasets import SafetensorsDataset
from mlic.labels.embeddings import spectral_vectors
from mlic.pipeline_registry import register_pipelines

pytestmark = pytest.mark.slow  # a whole run

CONF = Path(__file__).resolve().parents[2] / "conf"
DIMENSION = 5
EMBEDDED = "label_embeddings"
PARAMETERS = {
    "synthetic": {"num_images": 160, "size": 32},
    "data": {"image_size": 32, "validation_fraction": 0.2, "test_fraction": 0.3},
    "model": {
        "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8},
        "head": "transformer_encoder",
        "head_options": {"width": 16, "layers": 1, "heads": 2, "feedforward": 16},
        "embeddings": {"source": "spectral", "dimension": DIMENSION},
    },
    "training": {"epochs": 1, "threads": 1, "augmentation": {"views": 2}},
    "partition": {"num_parts": 2, "strategies": "cgp"},
    "explain": {"images": 8, "examples": 1},
}
MODELS = ("baseline", "teachers.cgp_0", "teachers.cgp_1", "student")


@pytest.fixture(scope="module")
def project(tmp_path_factory, copy_project, run_project):
    folder = copy_project(tmp_path_factory.mktemp("embedded"))
    run_project(folder, **PARAMETERS)
    return folder


def load(project, path, cls):
    return SafetensorsDataset(filepath=str(project / "data" / path), cls=cls).load()


def test_every_model_holds_the_vectors_of_the_graph(project):
    given = load(
        project,
        "04_feature/base/label_embeddings.safetensors",
        "mlic.labels.embeddings.LabelEmbeddings",
    )
    counted = load(
        project,
        "04_feature/base/label_statistics.safetensors",
        "mlic.labels.statistics.LabelStatistics",
    )
    np.testing.assert_allclose(given.vectors, spectral_vectors(counted, DIMENSION), atol=1e-5)
    for name in MODELS:
        checkpoint = load(
            project,
            f"06_models/base/trained/{name}.safetensors",
            "mlic.training.checkpoint.Checkpoint",
        )
        own = given.subset(checkpoint.space)
        held = [w for w in checkpoint.weights.values() if w.shape == own.vectors.shape]
        assert any(np.allclose(w, own.vectors, atol=1e-5) for w in held), name


def test_every_model_is_evaluated(project):
    summary = json.loads((project / "data/08_reporting/base/summary.json").read_text())
    for figures in (summary["baseline"], summary["teachers"]["cgp"], summary["student"]):
        assert 0 < figures["mAP"] <= 100 and {"macro_F1", "OF1_top3"} <= figures.keys()
    assert "Map of student" in (project / "data/08_reporting/base/report.html").read_text()


def register(changes):
    """Register the pipelines for conf/base with other values for the model."""
    raw = RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")["parameters"]
    parameters = check_parameters({**raw, "model": raw["model"] | changes})
    set_shape(RunShape.from_parameters(parameters))
    try:
        return register_pipelines()["__default__"]
    finally:
        set_shape(None)


def test_embeddings_are_nodes_only_where_a_head_is_given_them():
    default, learned = register({}), register({"head": "transformer_encoder"})
    assert EMBEDDED not in default.datasets() | learned.datasets()
    given = register({key: PARAMETERS["model"][key] for key in ("head", "embeddings")})
    readers = {node.namespace for node in given.nodes if EMBEDDED in node.inputs}
    assert readers == {"baseline", "student", "teachers"}
