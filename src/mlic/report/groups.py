"""Tables of label groups: their labels and teachers, their quality, and the choice of K."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlic.labels.options import FULL_LABEL
from mlic.report.formatting import Table, number
from mlic.report.names import ensemble_title, strategy_title

__all__ = ["group_tables", "quality_table", "survey_tables"]

# Title and explanation of each quality score of `mlic.labels.partition.quality`.
_QUALITY = {
    "ncut": ("normalised cut", "co-occurrence cut between groups, relative to each group's"),
    "modularity": ("modularity", "co-occurrence within groups in excess of chance"),
    "coverage_counts": ("pairs inside", "share of co-occurring label pairs that lie in one group"),
    "coverage_counts_random": ("… in random groups", "the same for random groups of equal sizes"),
    "coverage_counts_random_sd": ("… standard deviation", "over random groups"),
    "coverage_graph": ("weight inside", "share of the co-occurrence graph’s weight within groups"),
    "coverage_graph_random": ("… in random groups", "the same for random groups of equal sizes"),
    "coverage_graph_random_sd": ("… standard deviation", "over random groups"),
    "stability": ("stability", "adjusted Rand index between partitions of several seeds"),
}
_SURVEYED = ("ncut", "coverage_graph", "coverage_graph_random", "stability")


def group_tables(summary: Mapping[str, Any]) -> list[Table]:
    """Tabulate the labels and the mAP of each teacher, one table per strategy."""
    teachers = summary["teachers"]
    tables = [
        _group_table(strategy, partition, teachers[strategy]["parts"])
        for strategy, partition in summary["partitions"].items()
    ]
    # Full-label teachers have no partition, hence no groups to list.
    if FULL_LABEL in teachers:
        precisions = teachers[FULL_LABEL]["parts"]
        rows = [[f"{FULL_LABEL}_{i}", number(value)] for i, value in enumerate(precisions)]
        caption = f"{ensemble_title(FULL_LABEL)}: mAP of each teacher on all labels, in percent"
        tables.append(Table(caption, ("Teacher", "mAP"), rows, folded=True))
    return tables


def _group_table(
    strategy: str, partition: Mapping[str, Any], precisions: Sequence[float | None]
) -> Table:
    titles = partition.get("titles") or []  # only user-defined groups may have titles
    rows = []
    for part, (labels, precision) in enumerate(zip(partition["parts"], precisions, strict=True)):
        group = [f"{strategy}_{part}", *([titles[part]] if titles else [])]
        rows.append([*group, ", ".join(labels), str(len(labels)), number(precision)])
    return Table(
        f"{strategy_title(strategy)}: labels of each teacher and its mAP on them, in percent",
        ("Teacher", *(["Group"] if titles else []), "Labels", "Number", "mAP"),
        rows,
        text_columns=("Group", "Labels"),
        folded=True,
    )


def quality_table(partitions: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """Tabulate the quality scores of all partitions; None if there are no scores."""
    scores = {strategy_title(name): partition["quality"] for name, partition in partitions.items()}
    # The strategies do not have the same scores: only partitions of a graph have a stability.
    names = list(dict.fromkeys(name for quality in scores.values() for name in quality))
    rows = []
    for name in names:
        title, meaning = _QUALITY.get(name, (name, ""))
        rows.append([title, *(number(q.get(name), 3) for q in scores.values()), meaning])
    columns = ("Score", *scores, "Meaning")
    return Table("Quality of the groups", columns, rows, ("Meaning",)) if rows else None


def survey_tables(
    partitions: Mapping[str, Mapping[str, Any]], surveys: Mapping[str, pd.DataFrame]
) -> list[Table]:
    """Tabulate the quality of each partitioned graph over K, with the K in use highlighted.

    ``partitions`` are those of ``summary.json``; ``surveys`` are results of
    `mlic.labels.partition.survey.survey_parts` by strategy.
    """
    return [
        _survey_table(name, survey, len(partitions[name]["parts"]))
        for name, survey in surveys.items()
    ]


def _survey_table(strategy: str, survey: pd.DataFrame, in_use: int) -> Table:
    records = survey.to_dict("records")
    numbers = [int(row["num_parts"]) for row in records]
    rows = []
    for num_parts, row in zip(numbers, records, strict=True):
        title = f"{num_parts}, in use" if num_parts == in_use else str(num_parts)
        smallest, largest = int(row["smallest"]), int(row["largest"])
        sizes = f"{smallest}" if smallest == largest else f"{smallest}–{largest}"
        rows.append([title, sizes, *(number(row[name], 3) for name in _SURVEYED)])
    return Table(
        f"{strategy_title(strategy)}: quality for every K, the number of groups",
        ("K", "Labels per group", *(_QUALITY[name][0] for name in _SURVEYED)),
        rows,
        folded=True,
        marked=numbers.index(in_use) if in_use in numbers else None,
    )
