"""The sections of the report, in the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlic.report.blocks import Block, Cards, Figure, Maps, Note, Section, Table
from mlic.report.figures.style import strategy_title
from mlic.report.groups import group_tables, quality_table, survey_blocks
from mlic.report.headline import judge_run
from mlic.report.page import render_page
from mlic.report.tables import (
    count_table,
    data_table,
    issue_table,
    model_blocks,
    pair_table,
    parameter_table,
    pointing_blocks,
    precision_table,
    provenance_table,
    quarantine_table,
    training_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["Findings", "render_report"]


@dataclass(frozen=True)
class Findings:
    """All that a run found out, as the nodes made it or as it was read back from files.

    Parameters
    ----------
    summary
        As `summarise_run` makes it; figures in percent, what is undefined missing or None.
    parameters
        Of the run, as Kedro has them.
    trainings
        As `describe_trainings` makes it.
    label_counts
        ``label``, ``train``, ``validation``, ``test`` and ``unknown``; a row a label.
    quarantine
        ``id``, ``source`` and ``reason`` of images that could not be read.
    average_precision
        ``label``, ``positives``, ``baseline`` and ``student``, in percent; a row a label, NaN
        where a label has no positive in the test split.
    pair_errors, label_issues
        As the nodes `tabulate_pair_errors` and `find_label_issues` make them.
    image_cards
        ``examples`` and ``issues``: cards with images.
    class_map_examples
        Rows of images with maps; may be none.
    suggested_parts
        What communities suggest, a `mlic.labels.partition.survey.Suggestion`, if a graph was cut.
    figures
        Plotly figures by name; a section goes without those that are missing.
    surveys
        By strategy the quality of its groups over K, as `mlic.labels.partition.survey` gives it.
    """

    summary: Mapping[str, Any]
    parameters: Mapping[str, Any]
    trainings: Mapping[str, Mapping[str, Any]]
    label_counts: pd.DataFrame
    quarantine: pd.DataFrame
    average_precision: pd.DataFrame
    pair_errors: pd.DataFrame
    label_issues: pd.DataFrame
    image_cards: Mapping[str, Sequence[Mapping[str, Any]]]
    class_map_examples: Sequence[Mapping[str, Any]] = ()
    suggested_parts: Mapping[str, Any] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    surveys: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def figure(self, name: str, told: str, half: bool = False) -> list[Block]:
        """The figure of this name, if there is one."""
        return [Figure(self.figures[name], told, half)] if name in self.figures else []


def render_report(found: Findings) -> str:
    """Write the report of a run.

    Returns
    -------
    str
        A whole HTML5 document that needs nothing else.
    """
    summary = found.summary
    sections = [
        Section("models", "Models", model_blocks(summary)),
        Section("data", "Data", _data(found)),
        Section("groups", "Groups of labels", _groups(found)),
        Section("training", "Training", _training(found)),
        Section("labels", "Label by label", _labels(found)),
        Section("images", "Test images", _images(found)),
        Section("pairs", "Pairs of labels", _pairs(found)),
        Section("mislabelled", "Likely mislabelled", _issues(found)),
        Section("looking", "Where the models look", _looking(found)),
        Section("provenance", "Made from", _provenance(found)),
    ]
    commit = summary["git"] or "not under git"
    footer = f"Seed {summary['seed']} · commit {commit} · mlic {summary['version']}"
    verdict = judge_run(summary, found.average_precision)
    return render_page(_title(found.parameters), verdict, sections, footer)


def _title(parameters: Mapping[str, Any]) -> str:
    partition = parameters["partition"]
    groups = f"{' + '.join(partition['strategies'])}, K = {partition['num_parts']}"
    return f"Report of a run: {parameters['model']['backbone']}, {groups}"


def _data(found: Findings) -> list[Block]:
    told = (
        "Training images of each label, the most frequent first, and how many labels an image "
        "carries. Zoom in for names that have no room."
    )
    return [
        data_table(found.summary["data"]),
        *found.figure("label_counts", told),
        count_table(found.label_counts),
        *([quarantine_table(found.quarantine)] if len(found.quarantine) else []),
    ]


def _groups(found: Findings) -> list[Block]:
    partitions = found.summary["partitions"]
    company = (
        "Company of all labels, a map a partition, in the order of its groups. The darker a cell, "
        "the more two labels keep company; frames are groups. Those of CGP hold the dark cells, "
        "those of DGP leave them outside."
    )
    network = (
        "The same company as lines, each label to its strongest partners: solid blue inside "
        "a group, dotted orange between groups. Points are as large as the label is frequent; "
        "numbers are those of the teachers."
    )
    survey = "the co-occurrence weight inside groups, and how stable they are, for every K."
    surveys = [
        block
        for name in found.surveys
        for block in found.figure(f"survey_{name}", f"{strategy_title(name)}: {survey}", half=True)
    ]
    return [
        *found.figure("partitions", company),
        *found.figure("networks", network),
        *group_tables(found.summary),
        *quality_table(partitions),
        *surveys,
        *survey_blocks(partitions, found.surveys, found.suggested_parts),
    ]


def _training(found: Findings) -> list[Block]:
    told = (
        "Validation mAP and training loss of every training over its own epochs. A teacher is "
        "judged on its own labels, and the student’s loss has the teachers’ part in it: heights "
        "compare between baselines and student on the left alone."
    )
    return [*found.figure("training_curves", told), training_table(found.trainings)]


def _labels(found: Findings) -> list[Block]:
    told = (
        "Average precision of every label on the test split, baseline against student. "
        "In brackets, test images with the label: few of them make a figure uncertain."
    )
    return [
        *found.figure("average_precision", told),
        precision_table(found.average_precision),
    ]


def _images(found: Findings) -> list[Block]:
    told = (
        "The first test images by a hash of their id, chosen by nobody. ✓ marks labels that are "
        "present, ? those that nobody checked, ✗ the absent ones that a model holds most likely. "
        "Scores are the models’ probabilities in percent."
    )
    return (
        [Cards(found.image_cards["examples"]), Note(told)] if found.image_cards["examples"] else []
    )


def _pairs(found: Findings) -> list[Block]:
    if not len(found.pair_errors):
        return []
    told = (
        "Each label is claimed on as many test images as carry it, those of its highest scores, "
        "so that a model is not blamed for scores that are too high as a whole. Left, pairs "
        "claimed together too often or too seldom; right, pairs of which an image carries one "
        "and is given the other."
    )
    return [*found.figure("pair_errors", told), pair_table(found.pair_errors)]


def _issues(found: Findings) -> list[Block]:
    if not len(found.label_issues):
        return []
    told = (
        "By confident learning (Northcutt et al. 2021), label by label: the student gives the "
        "other answer at least the probability that it gives it, on average, where that answer "
        "stands. The least probable states come first. Of training images the student has "
        "learned the states, right or wrong, so that fewer of them are found."
    )
    cards = found.image_cards["issues"]
    return [Cards(cards), Note(told), issue_table(found.label_issues)]


def _looking(found: Findings) -> list[Block]:
    """Say what the models look at, as far as the run has maps or masks."""
    explain, game = found.parameters.get("explain", {}), found.summary.get("pointing_game")
    blocks: list[Block] = []
    if found.class_map_examples:
        told = (
            f"The labels most frequent among the first {explain.get('images', '')} test "
            "images by a hash of their id, and of each the first image that carries it. Of "
            "the teachers, those who know the label. Colour tells the evidence for the label, "
            "from none (dark violet) to the map’s own most (yellow): strengths of two maps do "
            "not compare. It is activation times gradient, or attention where the head attends."
        )
        blocks = [Maps(found.class_map_examples), Note(told)]
    return blocks if game is None else [*blocks, *pointing_blocks(game)]


def _provenance(found: Findings) -> list[Block]:
    tables: list[Table] = [provenance_table(found.summary), parameter_table(found.parameters)]
    return [*tables]
