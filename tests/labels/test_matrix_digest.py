import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.matrix_digest import MatrixDigest

# NumPy cuts off zeros at the end of a text, and files have no surrogates
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.lists(st.text(CHARACTERS, max_size=3), unique=True)
CUTS = st.lists(st.integers(0, 10), max_size=4).map(sorted)


def divide(items, cuts):
    return [items[start:end] for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True)]


@given(TEXTS, CUTS, CUTS, CUTS, st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_the_fingerprint_does_not_depend_on_the_division(ids, first, second, third, random):
    space = LabelSpace(("cat", "dög"))
    states = np.array([[random.choice([1, 0, -1]) for _ in space.names] for _ in ids], np.int8)
    states = states.reshape(len(ids), 2)
    split = [random.choice(["train", "validation", "test", ""]) for _ in ids]
    digest = MatrixDigest(space)
    digest.add_texts(divide(ids, [min(cut, len(ids)) for cut in first]))
    for block in divide(states, [min(cut, len(ids)) for cut in second]):
        digest.add_states(block)
    digest.add_texts(divide(split, [min(cut, len(ids)) for cut in third]))
    assert digest.fingerprint == LabelMatrix(space, ids, states, split).fingerprint
    # as it was always defined: finished trainings are found by it
    content = b"".join(
        [
            space.fingerprint.encode(),
            "\x1f".join(ids).encode(),
            states.tobytes(),
            "\x1f".join(split).encode(),
        ]
    )
    assert digest.fingerprint == hashlib.sha256(content).hexdigest()[:16]


def test_columns_of_another_order_in_memory_have_the_same_fingerprint():
    states = np.array([[1, 0], [0, -1]], dtype=np.int8)
    found = set()
    for form in (states, np.asfortranarray(states), np.repeat(states, 2, axis=1)[:, ::2]):
        digest = MatrixDigest(LabelSpace(("a", "b")))
        digest.add_states(form)
        found.add(digest.fingerprint)
    assert len(found) == 1
