"""Label embeddings: given by word vectors or by the graph, and joined by name."""

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


def test_the_shared_vectors_are_those_of_their_labels(shared, coco):
    path = shared / "embeddings/coco_glove_adj.npz"
    given = embed_labels(coco, EmbeddingOptions(source="glove", file=str(path)))
    with np.load(path) as file:
        expected = dict(zip(file["classes"].tolist(), file["glove"], strict=True))
    assert all(
        np.array_equal(row, expected[name])
        for name, row in zip(given.space.names, given.vectors, strict=True)
    )


def test_spectral_vectors_solve_the_eigenproblem(scenes):
    """L v = λ v with the least λ, against an L of our own; orthogonal to the trivial vector."""
    vectors = spectral_vectors(scenes, 11).astype(float) / np.sqrt(12)
    weights = affinity(scenes, "co", 0.5)
    degrees = weights.sum(axis=1)
    laplacian = np.eye(12) - weights / np.sqrt(np.outer(degrees, degrees))
    values = np.linalg.eigvalsh(laplacian)[1:]
    np.testing.assert_allclose(laplacian @ vectors, vectors * values, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(11), atol=1e-6)
    np.testing.assert_allclose(vectors.T @ np.sqrt(degrees), 0, atol=1e-6)


def test_spectral_vectors_tell_scenes_apart(scenes):
    vectors = spectral_vectors(scenes, 2)
    gaps = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    home = np.arange(12) // 4
    same = (home[:, None] == home) & ~np.eye(12, dtype=bool)
    assert gaps[same].max() < gaps[home[:, None] != home].min()


@pytest.mark.parametrize("lonely", [1, 6])
def test_labels_without_company_have_coordinates_too(lonely):
    states = np.zeros((20, 6), dtype=np.int8)
    states[:, lonely:] = np.random.default_rng(0).random((20, 6 - lonely)) < 0.5
    vectors = spectral_vectors(count_labels(states, LabelSpace(tuple("abcdef"))), 5)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose((vectors**2).mean(axis=0), 1, rtol=1e-5)


def test_there_are_not_more_coordinates_than_the_graph_has(scenes):
    with pytest.raises(ParameterError, match=r"dimension=300: .* 12 labels .* set it to 11"):
        embed_labels(scenes, EmbeddingOptions(source="spectral"))


def test_learned_embeddings_give_nothing(scenes):
    given = embed_labels(scenes, EmbeddingOptions())
    assert given.vectors.shape == (12, 0) and given.source == "learned"


@pytest.mark.parametrize("width", [0, 3])
def test_a_round_trip_through_the_catalog(scenes, tmp_path, width):
    vectors = np.random.default_rng(0).normal(size=(12, width))
    given = LabelEmbeddings(scenes.space, vectors, "spectral")
    holds = "mlic.labels.embeddings.LabelEmbeddings"
    dataset = SafetensorsDataset(str(tmp_path / "e.safetensors"), cls=holds)
    dataset.save(given)
    back = dataset.load()
    assert back.space == given.space and back.fingerprint == given.fingerprint
    assert np.array_equal(back.vectors, given.vectors)
    with pytest.raises(DataError, match="lack source, vectors: embed the labels again"):
        LabelEmbeddings.from_tensors({}, {"names": "[]"})


def test_a_subset_goes_by_name():
    given = LabelEmbeddings(LabelSpace(("a", "b", "c")), np.eye(3), "glove")
    part = given.subset(LabelSpace(("c", "a")))
    assert part.vectors.tolist() == [[0, 0, 1], [1, 0, 0]] and part.source == "glove"
    assert part.fingerprint != given.subset(LabelSpace(("a", "c"))).fingerprint
    with pytest.raises(LabelError, match="label 'd' is not in the class list"):
        given.subset(LabelSpace(("d",)))


def test_rows_that_do_not_fit_are_refused():
    space = LabelSpace(("a", "b"))
    with pytest.raises(LabelError, match=r"shape \(3, 3\) do not fit 2 labels"):
        LabelEmbeddings(space, np.eye(3), "glove")
    with pytest.raises(LabelError, match="embedding of label 'b' is not all finite"):
        LabelEmbeddings(space, np.array([[0, 1], [np.nan, 1]]), "glove")


@pytest.mark.parametrize(
    "wrong", [{"source": "glove"}, {"file": "v.npz"}, {"source": "bert"}, {"dimension": 0}]
)
def test_options_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError):
        EmbeddingOptions(**wrong)
