"""Label-mask training: which states are shown, how many, and what is learned from them."""

import numpy as np
import pytest
import torch
from scipy import stats

from mlic.errors import LabelError
from mlic.labels import LabelSpace
from mlic.training.label_mask import LabelMask, draw_known
from mlic.training.options import LabelMaskOptions

SPACE = LabelSpace(tuple("abcdefgh"))


@pytest.fixture
def states():
    return np.random.default_rng(0).integers(-1, 2, (4000, 8)).astype(np.int8)


def draw(states, columns=range(8), seed=1, **options):
    rng = np.random.default_rng(seed)
    return draw_known(states, np.array(columns), LabelMaskOptions(**options), rng)


def test_number_of_known_labels_is_uniform_up_to_the_largest_share():
    ones = np.ones((7000, 8), np.int8)
    numbers = (draw(ones) == 1).sum(axis=1)
    counts = np.bincount(numbers)
    assert len(counts) == 7  # none to six of eight
    assert stats.chisquare(counts).pvalue > 0.001
    assert (draw(ones, max_known=1) == 1).all(axis=1).any()


def test_every_label_is_known_equally_often():
    known = draw(np.ones((8000, 8), np.int8)) == 1
    assert np.abs(known.mean(axis=0) - 0.375).max() < 0.025


def test_known_states_are_those_of_the_data(states):
    known = draw(states)
    shown = known >= 0
    assert (known[shown] == states[shown]).all()
    assert (known[states < 0] == -1).all()


def test_share_of_known_states_is_flipped(states):
    known = draw(states, flipped=0.1)
    shown = known >= 0
    wrong = known[shown] != states[shown]
    assert abs(wrong.mean() - 0.1) < 0.01
    assert (known[states < 0] == -1).all()


def test_labels_outside_the_columns_stay_unknown(states):
    known = draw(states, columns=[1, 5], max_known=1)
    assert (np.delete(known, [1, 5], axis=1) == -1).all()
    assert (known[:, [1, 5]] >= 0).any()


def test_masks_differ_between_epochs_and_are_the_same_when_drawn_again(states):
    mask = LabelMask([(SPACE, 3)], LabelMaskOptions())
    first, again, second = (mask.start(epoch)(states) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_masks_of_a_training_do_not_depend_on_those_beside_it(states):
    options, other = LabelMaskOptions(), LabelSpace(("x", "y"))
    alone = LabelMask([(SPACE, 3)], options).start(1)(states)
    both = LabelMask([(other, 4), (SPACE, 3)], options)
    wide = np.concatenate([states[:, :2], states], axis=1)
    np.testing.assert_array_equal(both.start(1)(wide)[:, 2:], alone)


def test_names_that_are_never_known(states):
    mask = LabelMask([(SPACE, 3)], LabelMaskOptions(never_known=("[a-f]",), max_known=1))
    known = mask.start(1)(states)
    assert (known[:, :6] == -1).all() and (known[:, 6:] >= 0).any()
    with pytest.raises(LabelError) as caught:
        LabelMask([(SPACE, 3)], LabelMaskOptions(never_known=("a", "zebra*")))
    assert caught.value.fields["label"] == "zebra*"


def with_c_tran(make_job, **options):
    job = make_job(**options)
    head = {"head": "c_tran", "head_options": {"width": 8, "layers": 1, "heads": 2}}
    return make_job(model=job.model.model_copy(update=head), **options)


def test_batches_show_known_states_to_heads_that_use_them(make_job, manual):
    assert all(batch.known is None for batch in manual(make_job()).batches(1))
    batches = list(manual(with_c_tran(make_job)).batches(1))
    known = torch.cat([batch.known for batch in batches])
    states = torch.cat([batch.states for batch in batches])
    shown = known >= 0
    assert shown.any() and not shown.all() and (known[shown] == states[shown]).all()
    off = with_c_tran(make_job, label_mask={"max_known": 0})
    assert all(batch.known is None for batch in manual(off).batches(1))


def test_nothing_is_learned_from_known_states(make_job, manual):
    training = manual(with_c_tran(make_job))
    batch = next(iter(training.batches(1)))
    logits = torch.zeros(batch.known.shape, requires_grad=True)
    loss, _ = training.task.loss(0, lambda images, known: logits, batch)
    loss.backward()
    learned = logits.grad != 0
    torch.testing.assert_close(learned, (batch.known < 0) & (batch.states >= 0))
