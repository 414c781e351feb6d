import numpy as np
import pytest

from mlic.errors import DataError
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.preparation import complete_split, drop_rare_labels

FRACTIONS = {"validation": 0.25, "test": 0.25}


def labels_of(n=40, split="", states=None):
    if states is None:
        states = (np.random.default_rng(0).random((n, 3)) < 0.5).astype(np.int8)
    splits = [split] * n if isinstance(split, str) else split
    return LabelMatrix(
        LabelSpace(("ant", "bee", "cat")), [f"p{i}" for i in range(n)], states, splits
    )


def sizes(labels):
    return [len(labels.rows(split)) for split in ("train", "validation", "test")]


class TestCompleteSplit:
    def test_all_three_splits_are_made_if_none_is_declared(self):
        labels = complete_split(labels_of(), None, FRACTIONS, 0)
        assert np.abs(np.subtract(sizes(labels), [20, 10, 10])).max() <= 2
        assert labels.ids.tolist() == labels_of().ids.tolist()

    def test_split_depends_on_the_seed_only(self):
        splits = [complete_split(labels_of(), None, FRACTIONS, seed).split for seed in (0, 0, 1)]
        np.testing.assert_array_equal(splits[0], splits[1])
        assert (splits[0] != splits[2]).any()

    def test_declared_test_split_is_unchanged(self):
        declared = ["train"] * 30 + ["test"] * 10
        labels = complete_split(labels_of(split=declared), None, FRACTIONS, 0)
        assert labels.rows("test").tolist() == list(range(30, 40))
        assert sum(sizes(labels)) == 40 and 6 <= sizes(labels)[1] <= 9

    def test_complete_declared_splits_are_unchanged(self):
        declared = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
        assert (
            complete_split(labels_of(split=declared), None, FRACTIONS, 0).split.tolist() == declared
        )

    def test_undeclared_images_become_training_images_with_a_warning(self, caplog):
        declared = ["train"] * 18 + [""] * 2 + ["validation"] * 10 + ["test"] * 10
        labels = complete_split(labels_of(split=declared), None, FRACTIONS, 0)
        assert sizes(labels) == [20, 10, 10]
        assert "2 images" in caplog.text

    def test_groups_stay_together(self):
        groups = np.asarray([f"g{i // 4}" for i in range(40)])
        labels = complete_split(labels_of(), groups, FRACTIONS, 0)
        assert all(len(set(labels.split[groups == group])) == 1 for group in groups)

    def test_group_in_two_declared_splits_is_refused(self):
        declared = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
        groups = np.asarray([f"g{i}" for i in range(40)])
        groups[39] = "g0"
        with pytest.raises(DataError) as error:
            complete_split(labels_of(split=declared), groups, FRACTIONS, 0)
        assert error.value.fields == {"name": "g0", "found": ("train", "test")}

    @pytest.mark.parametrize(
        ("declared", "name"),
        [(["validation", "test"] * 20, "train"), (["test"] * 40, "train")],
    )
    def test_empty_split_is_refused(self, declared, name):
        with pytest.raises(DataError) as error:
            complete_split(labels_of(split=declared), None, FRACTIONS, 0)
        assert error.value.fields == {"name": name}


class TestDropRareLabels:
    def states(self):
        states = np.ones((40, 3), dtype=np.int8)
        states[:, 1] = 0
        states[20:, 1] = 1  # present in validation and test only
        states[3:, 2] = -1
        return states

    DECLARED = ("train",) * 20 + ("validation",) * 10 + ("test",) * 10

    def test_label_without_training_images_is_refused(self):
        labels = labels_of(split=self.DECLARED, states=self.states())
        with pytest.raises(DataError) as error:
            drop_rare_labels(labels, None)
        assert error.value.fields == {"label": "bee", "parameter": "data.drop_labels_below"}

    @pytest.mark.parametrize(
        ("below", "kept"), [(1, ("ant", "cat")), (3, ("ant", "cat")), (4, ("ant",))]
    )
    def test_rare_labels_are_dropped_with_a_warning(self, below, kept, caplog):
        labels = labels_of(split=self.DECLARED, states=self.states())
        labels = drop_rare_labels(labels, below)
        assert labels.space.names == kept and len(labels) == 40
        assert "bee" in caplog.text

    def test_dropping_every_label_is_refused(self):
        labels = labels_of(split=self.DECLARED, states=self.states())
        with pytest.raises(DataError) as error:
            drop_rare_labels(labels, 99)
        assert error.value.fields == {"parameter": "data.drop_labels_below", "value": 99}
