import numpy as np

from mlic.config.shape import RunShape
from mlic.labels import LabelMatrix
from mlic.pipelines.label_statistics import create_pipeline
from mlic.pipelines.label_statistics.nodes import count_training_labels, tabulate_labels


def test_statistics_count_the_training_split_only(labels):
    statistics = count_training_labels(labels)
    train = labels.states[labels.split == "train"].astype(int)
    assert np.array_equal(statistics.counts, train.sum(axis=0))
    changed = labels.states.copy()
    changed[labels.split != "train"] = -1
    again = count_training_labels(LabelMatrix(labels.space, labels.ids, changed, labels.split))
    assert again.space == statistics.space and np.array_equal(again.counts, statistics.counts)


def test_label_table_counts_every_split_and_unknown_states(labels):
    states = labels.states.copy()
    states[:5, 2] = -1
    table = tabulate_labels(LabelMatrix(labels.space, labels.ids, states, labels.split))
    assert table["label"].tolist() == list(labels.space.names)
    assert table["unknown"].tolist() == [0, 0, 5, 0]
    total = table[["train", "validation", "test"]].sum(axis=1)
    assert total.tolist() == (states == 1).sum(axis=0).tolist()


def test_pipeline_makes_statistics_and_counts():
    pipeline = create_pipeline(RunShape())
    assert pipeline.inputs() == {"labels"}
    assert pipeline.outputs() == {"label_statistics", "label_counts"}
