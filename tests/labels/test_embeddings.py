import numpy as np
import pytest
from pydantic import ValidationError

from mlic.datasets import SafetensorsDataset
from mlic.errors import DataError, LabelError, ParameterError
from mlic.labels import LabelSpace
from mlic.labels.embeddings import LabelEmbeddings, embed_labels, spectral_vectors
from mlic.labels.graph import affinity
from mlic.labels.options import EmbeddingOptions
from mlic.labels.statistics import count_labels


def test_glove_vectors_of_coco_belong_to_their_labels(shared, coco):
    path = shared / "embeddings/coco_glove_adj.npz"
    given = embed_labels(coco, EmbeddingOptions(source="glove", file=str(path)))
    with np.load(path) as file:
        expected = dict(zip(file["classes"].tolist(), file["glove"], strict=True))
    assert all(
        np.array_equal(row, expected[name])
        for name, row in zip(given.space.names, given.vectors, strict=True)
    )


def test_spectral_vectors_solve_the_eigenproblem(scenes):
    """L v = λ v with the smallest λ, for an L computed here; orthogonal to the trivial vector."""
    vectors = spectral_vectors(scenes, 11).astype(float) / np.sqrt(12)
    weights = affinity(scenes, "co", 0.5)
    degrees = weights.sum(axis=1)
    laplacian = np.eye(12) - weights / np.sqrt(np.outer(degrees, degrees))
    values = np.linalg.eigvalsh(laplacian)[1:]
    np.testing.assert_allclose(laplacian @ vectors, vectors * values, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(11), atol=1e-6)
    np.testing.assert_allclose(vectors.T @ np.sqrt(degrees), 0, atol=1e-6)


def test_spectral_vectors_separate_scenes(scenes):
    vectors = spectral_vectors(scenes, 2)
    gaps = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    home = np.arange(12) // 4
    same = (home[:, None] == home) & ~np.eye(12, dtype=bool)
    assert gaps[same].max() < gaps[home[:, None] != home].min()


@pytest.mark.parametrize("lonely", [1, 6])
def test_labels_that_occur_alone_have_finite_spectral_vectors(lonely):
    states = np.zeros((20, 6), dtype=np.int8)
    states[:, lonely:] = np.random.default_rng(0).random((20, 6 - lonely)) < 0.5
    vectors = spectral_vectors(count_labels(states, LabelSpace(tuple("abcdef"))), 5)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose((vectors**2).mean(axis=0), 1, rtol=1e-5)


def test_more_dimensions_than_the_graph_has_are_refused(scenes):
    with pytest.raises(ParameterError) as error:
        embed_labels(scenes, EmbeddingOptions(source="spectral"))
    assert error.value.fields["value"] == 300 and error.value.fields["expected"] == 11


def test_learned_embeddings_have_no_fixed_vectors(scenes):
    given = embed_labels(scenes, EmbeddingOptions())
    assert given.vectors.shape == (12, 0) and given.source == "learned"


@pytest.mark.parametrize("width", [0, 3])
def test_saving_and_loading_a_dataset_keeps_embeddings(scenes, tmp_path, width):
    vectors = np.random.default_rng(0).normal(size=(12, width))
    given = LabelEmbeddings(scenes.space, vectors, "spectral")
    cls = "mlic.labels.embeddings.LabelEmbeddings"
    dataset = SafetensorsDataset(str(tmp_path / "e.safetensors"), cls=cls)
    dataset.save(given)
    back = dataset.load()
    assert back.space == given.space and back.fingerprint == given.fingerprint
    assert np.array_equal(back.vectors, given.vectors)
    with pytest.raises(DataError, match="source, vectors"):
        LabelEmbeddings.from_tensors({}, {"names": "[]"})


def test_subset_matches_labels_by_name():
    given = LabelEmbeddings(LabelSpace(("a", "b", "c")), np.eye(3), "glove")
    part = given.subset(LabelSpace(("c", "a")))
    assert part.vectors.tolist() == [[0, 0, 1], [1, 0, 0]] and part.source == "glove"
    assert part.fingerprint != given.subset(LabelSpace(("a", "c"))).fingerprint
    with pytest.raises(LabelError, match="'d'"):
        given.subset(LabelSpace(("d",)))


def test_wrong_shapes_and_values_that_are_not_finite_are_refused():
    space = LabelSpace(("a", "b"))
    with pytest.raises(LabelError) as error:
        LabelEmbeddings(space, np.eye(3), "glove")
    assert error.value.fields == {"found": (3, 3), "expected": 2}
    with pytest.raises(LabelError) as error:
        LabelEmbeddings(space, np.array([[0, 1], [np.nan, 1]]), "glove")
    assert error.value.fields == {"label": "b"}


@pytest.mark.parametrize(
    "wrong", [{"source": "glove"}, {"file": "v.npz"}, {"source": "bert"}, {"dimension": 0}]
)
def test_inconsistent_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        EmbeddingOptions(**wrong)
