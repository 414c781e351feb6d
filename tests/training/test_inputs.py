"""The inputs of all training nodes as one object, and the jobs that are made from it."""

import numpy as np
import pytest
from pydantic import ValidationError

from mlic.errors import LabelError
from mlic.images.options import DataOptions
from mlic.labels import LabelSpace
from mlic.labels.embeddings import LabelEmbeddings
from mlic.models.heads.linear import LinearHead
from mlic.models.options import ModelOptions
from mlic.training.inputs import TrainingInputs
from mlic.training.options import TrainingOptions
from mlic.utils.seeds import derive_seed


@pytest.fixture
def inputs(images, labels, settings):
    return TrainingInputs(images, labels, **settings)


def test_dictionaries_are_validated(images, labels):
    """Kedro passes raw parameters to arguments that a node function does not name."""
    inputs = TrainingInputs(
        images,
        labels,
        data={"image_size": 48},
        model={"backbone": "test_resnet"},
        training={"epochs": 3, "batch_size": 8, "learning_rate": 0.1},
        seed=0,
    )
    assert isinstance(inputs.data, DataOptions) and inputs.data.image_size == 48
    assert isinstance(inputs.model, ModelOptions) and inputs.model.head == "linear"
    assert isinstance(inputs.training, TrainingOptions) and inputs.training.epochs == 3


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ("data", {"image_size": "large"}),
        ("model", {"backbone": "test_resnet", "haed": "linear"}),
        ("training", {"epochs": 0, "batch_size": 8, "learning_rate": 0.1}),
    ],
)
def test_wrong_dictionary_is_refused(images, labels, settings, section, wrong):
    with pytest.raises(ValidationError) as caught:
        TrainingInputs(images, labels, **{**settings, section: wrong})
    assert caught.value.error_count() == 1


def test_options_are_taken_as_they_are(inputs, settings):
    assert inputs.training is settings["training"] and inputs.model is settings["model"]


def test_seed_of_a_job_follows_from_its_name_and_views_do_not(inputs):
    jobs = [inputs.make_job(name, "teacher") for name in ("teachers.cgp_0", "teachers.cgp_1")]
    assert [job.seed for job in jobs] == [derive_seed(0, job.name) for job in jobs]
    assert jobs[0].seed != jobs[1].seed
    assert jobs[0].view_seed == jobs[1].view_seed == inputs.seed


def test_job_has_the_options_of_its_role(inputs):
    epochs = {
        role: inputs.make_job("a", role).options.epochs
        for role in ("baseline", "teacher", "student")
    }
    assert epochs == {"baseline": 1, "teacher": 2, "student": 1}


def test_teacher_of_growing_images_speaks_at_the_last_size(images, labels, settings):
    own = settings["training"].model_copy(update={"overrides": {"teacher": {"sizes": (16, 24)}}})
    inputs = TrainingInputs(images, labels, **{**settings, "training": own})
    sizes = {role: inputs.make_job(role, role).image_size for role in ("baseline", "teacher")}
    assert sizes == {"baseline": 32, "teacher": 24}


def test_job_learns_all_labels_by_default(inputs, labels):
    job = inputs.make_job("baseline", "baseline")
    assert job.labels is labels and job.context.space == labels.space
    assert job.image_size == inputs.data.image_size and job.images is inputs.images


def test_job_of_some_labels_has_their_states_and_context(images, labels, settings):
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    # the vectors are in another order than the labels: they are joined by name
    reverse = LabelEmbeddings(LabelSpace(labels.space.names[::-1]), vectors[::-1], "glove")
    inputs = TrainingInputs(images, labels, **settings, embeddings=reverse)
    job = inputs.make_job("teachers.cgp_0", "teacher", ["bright", "red"])
    assert set(job.labels.space.names) == {"bright", "red"}
    columns = labels.space.indices(job.labels.space.names)
    assert np.array_equal(job.labels.states, labels.states[:, columns])
    assert job.context.space == job.labels.space
    assert np.array_equal(job.context.embeddings.vectors, vectors[columns])


def test_job_of_an_unknown_label_is_refused(inputs):
    with pytest.raises(LabelError, match="purple"):
        inputs.make_job("teachers.cgp_0", "teacher", ["purple"])


def test_other_fields_of_a_job_can_be_given(inputs):
    job = inputs.make_job("a", "teacher", seed=7, provenance={"part": 1})
    assert job.seed == 7 and job.provenance == {"part": 1}


@pytest.mark.parametrize(
    ("needs", "given"),
    [((), ()), (("statistics",), ("statistics",)), (("graph",), ("graph", "statistics"))],
)
def test_context_holds_what_the_head_needs(inputs, monkeypatch, needs, given):
    monkeypatch.setattr(LinearHead, "needs", frozenset(needs))
    context = inputs.context
    found = {name for name in ("statistics", "graph") if getattr(context, name) is not None}
    assert found == set(given)
    job = inputs.make_job("teachers.cgp_0", "teacher", ["blue", "red"])
    if "graph" in needs:
        assert list(job.context.graph) == ["blue", "red"]
    if "statistics" in needs:
        train = inputs.labels.in_split("train").states
        counts = dict(zip(inputs.labels.space.names, (train == 1).sum(axis=0), strict=True))
        assert job.context.statistics.counts.tolist() == [counts["blue"], counts["red"]]
