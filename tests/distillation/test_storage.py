"""Formats of stored logits: their errors against bounds that are computed in another way."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy.special import expit, rel_entr

from mlic.distillation.storage import LEVELS, decode_logits, encode_logits, stored_as
from mlic.errors import CheckpointError
from mlic.training.distillation_options import TeacherOptions

FORMATS = ("float32", "float16", "uint8", "top_1", "top_3", "top_32")


def store(values, name):
    shape, dtype = stored_as(name, values.shape)
    stored = encode_logits(values, dtype)
    assert stored.shape == shape and stored.dtype == dtype
    return stored


def divergence(true, stored):
    """KL(true ‖ stored) of Bernoulli distributions with these logits."""
    true, stored = np.float64(true), np.float64(stored)
    return rel_entr(expit(true), expit(stored)) + rel_entr(expit(-true), expit(-stored))


def test_a_byte_keeps_its_bound_for_every_logit():
    values = np.linspace(-40, 40, 400_001, dtype=np.float32)[:, None, None]
    back = decode_logits(store(values, "uint8"), 1)
    assert divergence(values, back).max() < 2.5e-5
    assert np.abs(expit(values) - expit(back)).max() < np.pi / 1024 + 1e-6
    assert (np.diff(back.ravel()) >= 0).all() and np.abs(back).max() == LEVELS[-1] < 11.7


def test_a_byte_is_much_finer_than_an_eight_bit_floating_point_number():
    values = np.linspace(-8, 8, 40_001, dtype=np.float32)[:, None, None]
    floats = torch.from_numpy(values).to(torch.float8_e4m3fn).float().numpy()
    ours = decode_logits(store(values, "uint8"), 1)
    assert 10 * divergence(values, ours).max() < divergence(values, floats).max()


def test_a_level_is_stored_as_itself():
    values = LEVELS.reshape(1, 1, 256)
    assert np.array_equal(decode_logits(store(values, "uint8"), 256), values)


@given(
    arrays(np.float32, (2, 3, 9), elements=st.floats(-30, 30, width=32)),
    st.integers(1, 3),
)
def test_largest_logits_stay_and_the_rest_has_its_mean_probability(values, kept):
    stored = store(values, f"top_{kept}")
    back = decode_logits(stored, 9)
    for row, found, places in zip(
        values.reshape(-1, 9), back.reshape(-1, 9), stored["label"].reshape(-1, kept), strict=True
    ):
        rest = np.setdiff1d(np.arange(9), places)
        assert row[places].min() >= row[rest].max() and len(rest) == 9 - kept
        np.testing.assert_array_equal(found[places], row[places].astype(np.float16))
        mean = np.float64(expit(np.float64(row[rest]))).mean()
        logit = np.log(mean) - np.log1p(-mean)
        np.testing.assert_allclose(found[rest], logit, rtol=1e-3, atol=1e-3)


def test_rest_has_the_gradient_of_the_labels_it_stands_for():
    values = np.random.default_rng(0).normal(-3, 1, (1, 50, 30)).astype(np.float32)
    back = decode_logits(store(values, "top_4"), 30)
    # the gradient of KL(teacher ‖ student) by a logit that all labels share: Σ σ(z) − σ(t)
    ours, theirs = (expit(np.float64(one)).sum(axis=-1) for one in (back, values))
    np.testing.assert_allclose(ours, theirs, rtol=2e-3)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [1, 2, 5, 300])
def test_shapes_come_back_whatever_the_number_of_labels(name, size):
    values = np.random.default_rng(size).normal(size=(2, 4, size)).astype(np.float32)
    stored = store(values, name)
    back = decode_logits(stored, size)
    assert back.shape == values.shape
    assert np.array_equal(decode_logits(stored[1, [3, 0]], size), back[1, [3, 0]])
    if name.startswith("top"):
        assert stored.nbytes <= values.nbytes / 2


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(name, wrong):
    values = np.zeros((1, 2, 80), np.float32)
    values[0, 1, 7] = wrong
    with pytest.raises(CheckpointError):
        store(values, name)


def test_logits_too_large_for_half_precision_are_refused():
    values = np.array([[[1e5, 0]]], np.float32)
    with pytest.raises(CheckpointError) as error:
        store(values, "float16")
    assert error.value.fields["value"] == 1e5


@pytest.mark.parametrize("name", ["top_0", "top_", "top_x", "float8", "float16 ", "TOP_4"])
def test_unknown_formats_are_refused(name):
    with pytest.raises(ValidationError):
        TeacherOptions(targets=name)
