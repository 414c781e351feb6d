from itertools import combinations

import numpy as np
import pytest

from mlic.images.synthetic.glyphs import BLOB, STROKE, TURN, label_glyphs, rasterise


def centred(glyph):
    shape = rasterise(glyph, 24, 0) >= 3
    canvas = np.zeros((40, 40), dtype=bool)
    top, left = (40 - shape.shape[0]) // 2, (40 - shape.shape[1]) // 2
    canvas[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
    return canvas


@pytest.mark.parametrize(("communities", "members", "most"), [(3, 4, 0.75), (8, 8, 0.95)])
def test_labels_have_different_names_and_silhouettes(communities, members, most):
    glyphs = label_glyphs(communities, members)
    assert len(glyphs) == communities * members
    for one, other in combinations([centred(glyph) for glyph in glyphs.values()], 2):
        assert (one & other).sum() / (one | other).sum() < most


@pytest.mark.parametrize("glyph", [BLOB, STROKE])
def test_rotation_by_quarters_of_a_turn(glyph):
    """A full turn changes nothing, and half a turn is the glyph upside down."""
    upright = rasterise(glyph, 40, 0)
    np.testing.assert_array_equal(rasterise(glyph, 40, TURN), upright)
    half = rasterise(glyph, 40, TURN // 2)
    assert half.shape == upright.shape and abs(half[::-1, ::-1] - upright).mean() < 0.3
    assert rasterise(glyph, 40, TURN // 4).shape == upright.shape[::-1]
