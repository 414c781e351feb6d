import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from mlic.images.options import SyntheticOptions
from mlic.images.synthetic.scenes import draw_scenes

COMMUNITY = np.repeat(np.arange(3), 4)


@pytest.fixture(scope="module")
def scenes():
    return draw_scenes(SyntheticOptions(num_images=800), seed=0)


def truth_of(masks, num_labels=12):
    return np.stack([(masks == c + 1).any(axis=(1, 2)) for c in range(num_labels)], axis=1)


def cooccurrence(states):
    counts = states.T.astype(int) @ states.astype(int)
    np.fill_diagonal(counts, 0)
    return counts


def digest(raw, masks):
    states = raw.labels.states.tobytes()
    return hashlib.sha256(b"".join([*raw.sources, states, masks.tobytes()])).hexdigest()


def test_seed_determines_the_bytes_on_every_machine():
    options = SyntheticOptions(num_images=12)
    assert digest(*draw_scenes(options, seed=7)).startswith("49009b6c46b24271")
    assert digest(*draw_scenes(options, seed=7)) != digest(*draw_scenes(options, seed=8))


def test_every_image_shows_one_to_five_objects(scenes):
    objects = truth_of(scenes[1]).sum(axis=1)
    assert set(objects) == {1, 2, 3, 4, 5}


def test_noise_keeps_label_counts_and_moves_the_given_fraction(scenes):
    raw, masks = scenes
    truth, states = truth_of(masks), raw.labels.states == 1
    np.testing.assert_array_equal(states.sum(axis=0), truth.sum(axis=0))
    moved = (truth & ~states).sum(axis=0)
    np.testing.assert_array_equal(moved, np.round(0.03 * truth.sum(axis=0)))


def test_without_noise_labels_match_the_masks():
    raw, masks = draw_scenes(SyntheticOptions(num_images=50, label_noise=0), seed=3)
    np.testing.assert_array_equal(raw.labels.states, truth_of(masks))
    assert set(raw.labels.split) == {""}


def test_a_fifth_to_a_third_of_co_occurrences_cross_communities(scenes):
    crossing = COMMUNITY[:, None] != COMMUNITY
    for states in (truth_of(scenes[1]), scenes[0].labels.states == 1):
        counts = cooccurrence(states)
        assert 0.2 < counts[crossing].sum() / counts.sum() < 0.33


def test_normalised_cut_finds_the_communities(scenes):
    states = scenes[0].labels.states == 1
    conditional = cooccurrence(states) / states.sum(axis=0)
    cut = SpectralClustering(3, affinity="precomputed", random_state=0)
    found = cut.fit_predict((conditional + conditional.T) / 2)
    assert adjusted_rand_score(COMMUNITY, found) == 1.0


def test_rare_labels_are_about_three_times_rarer(scenes):
    counts = truth_of(scenes[1]).sum(axis=0).reshape(3, 4)
    ratio = counts[:, 0] / counts[:, 3]
    assert (ratio > 2.2).all() and (ratio < 4.5).all()


def test_no_object_is_nearly_hidden(scenes):
    pixels = np.array([[(mask == c + 1).sum() for c in range(12)] for mask in scenes[1][:200]])
    assert pixels[pixels > 0].min() >= 8


def test_pillow_decodes_the_drawn_pixels(scenes):
    for source in scenes[0].sources[:5]:
        plain = np.frombuffer(source[54:], dtype=np.uint8).reshape(64, 64, 3)[::-1, :, ::-1]
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(source))), plain)


def test_masks_cover_what_was_painted(scenes):
    raw, masks = scenes
    step = []
    for source, mask in zip(raw.sources[:100], masks, strict=False):
        grey = np.asarray(Image.open(io.BytesIO(source))).astype(int)
        edge = (mask[:, 1:] != mask[:, :-1]).nonzero()
        across = abs(np.diff(grey, axis=1)).sum(axis=2)
        step.append(across[edge].mean() / across.mean())
    assert np.mean(step) > 2


@pytest.mark.parametrize("size", [32, 100])
def test_other_sizes_and_numbers_of_communities(size):
    options = SyntheticOptions(
        num_images=60, size=size, num_communities=5, labels_per_community=6, cross_probability=0
    )
    raw, masks = draw_scenes(options, seed=1)
    assert masks.shape == (60, size, size)
    assert len(raw.labels.space) == 30
    groups = truth_of(masks, 30).reshape(60, 5, 6).any(axis=2)
    assert (groups.sum(axis=1) == 1).all()


def test_contradictory_or_unknown_options_are_refused():
    with pytest.raises(ValidationError, match="exceeds largest"):
        SyntheticOptions(smallest=0.5, largest=0.3)
    with pytest.raises(ValidationError, match="num_image\n"):
        SyntheticOptions(num_image=3)
