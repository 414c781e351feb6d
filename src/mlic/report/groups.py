"""What the report says of groups: their labels and teachers, their quality, and other numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.labels.options import FULL_LABEL
from mlic.report.blocks import Block, Note, Table, number
from mlic.report.figures.style import strategy_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["group_tables", "quality_table", "survey_blocks"]

_QUALITY = {
    "ncut": ("normalised cut", "co-occurrence cut between groups, relative to what each has"),
    "modularity": ("modularity", "co-occurrence inside groups beyond what chance puts there"),
    "coverage_counts": ("pairs inside", "share of all label pairs seen that fall into one group"),
    "coverage_counts_random": ("… at random", "the same for random groups of these sizes"),
    "coverage_counts_random_sd": ("… its spread", "standard deviation over random groupings"),
    "coverage_graph": ("weight inside", "share of the co-occurrence graph's weight within groups"),
    "coverage_graph_random": ("… at random", "the same for random groups of these sizes"),
    "coverage_graph_random_sd": ("… its spread", "standard deviation over random groupings"),
    "stability": ("stability", "adjusted Rand index between cuts of several seeds: 1, all alike"),
}
_SURVEYED = ("ncut", "coverage_graph", "coverage_graph_random", "stability")


def group_tables(summary: Mapping[str, Any]) -> list[Block]:
    """Labels of each teacher with its mAP, a table a strategy.

    Parameters
    ----------
    summary
        ``partitions`` and ``teachers``, as in ``summary.json``.
    """
    teachers, partitions = summary["teachers"], summary["partitions"]
    tables: list[Block] = [
        _group_table(strategy, partition, teachers[strategy]["parts"])
        for strategy, partition in partitions.items()
    ]
    if FULL_LABEL in teachers:
        tables.append(_plain_table(teachers[FULL_LABEL]["parts"]))
    return tables


def _group_table(
    strategy: str, partition: Mapping[str, Any], precisions: Sequence[float | None]
) -> Table:
    parts = partition["parts"]
    titles = partition.get("titles") or []  # of groups by hand, where they have names
    rows = [
        [
            f"{strategy}_{part}",
            *([titles[part]] if titles else []),
            ", ".join(labels),
            str(len(labels)),
            number(precision),
        ]
        for part, (labels, precision) in enumerate(zip(parts, precisions, strict=True))
    ]
    return Table(
        f"{strategy_title(strategy)}: the labels of each teacher, and its mAP on them in percent",
        ("Teacher", *(["Group"] if titles else []), "Labels", "Number", "mAP"),
        rows,
        words=("Group", "Labels"),
        folded=True,
    )


def _plain_table(precisions: Sequence[float | None]) -> Table:
    rows = [
        [f"{FULL_LABEL}_{teacher}", number(precision)]
        for teacher, precision in enumerate(precisions)
    ]
    caption = (
        f"{strategy_title(FULL_LABEL)}: teachers of all labels, and the mAP of each in percent"
    )
    return Table(caption, ("Teacher", "mAP"), rows, folded=True)


def quality_table(partitions: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """Quality figures of all partitions side by side; nothing where there are none."""
    figures = {strategy_title(name): partition["quality"] for name, partition in partitions.items()}
    named = list(dict.fromkeys(name for quality in figures.values() for name in quality))
    rows = []
    for name in named:
        title, meaning = _QUALITY.get(name, (name, ""))
        cells = [number(quality.get(name), 3) for quality in figures.values()]
        rows.append([title, *cells, meaning])
    if not rows:
        return []
    columns, words = ("Figure", *figures, "What it says"), ("What it says",)
    told = (
        "Each is taken on the co-occurrence graph of exponent ½. Co-occurrence groups want "
        "a low cut and the rest above random; dis-occurrence groups want the opposite."
    )
    return [Table("Quality of the groups", columns, rows, words), Note(told)]


def survey_blocks(
    partitions: Mapping[str, Mapping[str, Any]],
    surveys: Mapping[str, pd.DataFrame],
    suggestion: Mapping[str, Any] | None = None,
) -> list[Block]:
    """Quality of each cut over K, with the K in use marked, and what communities suggest.

    Parameters
    ----------
    partitions
        By strategy, as in ``summary.json``: how many parts are in use.
    surveys
        By strategy, rows of `mlic.labels.partition.survey.survey_parts`.
    suggestion
        Entries of `mlic.labels.partition.survey.Suggestion`.

    Returns
    -------
    list of Block
        Nothing where no graph was cut.
    """
    if not surveys:
        return []
    tables: list[Block] = [
        _survey_table(name, survey, len(partitions[name]["parts"]))
        for name, survey in surveys.items()
    ]
    return tables if suggestion is None else [*tables, Note(_suggest(suggestion))]


def _survey_table(strategy: str, survey: pd.DataFrame, in_use: int) -> Table:
    records = survey.to_dict("records")
    numbers = [int(row["num_parts"]) for row in records]
    rows = [
        [
            f"{num_parts}, in use" if num_parts == in_use else str(num_parts),
            _span(int(row["smallest"]), int(row["largest"])),
            *(number(row[name], 3) for name in _SURVEYED),
        ]
        for num_parts, row in zip(numbers, records, strict=True)
    ]
    return Table(
        f"{strategy_title(strategy)}: quality for every K, the number of groups",
        ("K", "Labels a group", *(_QUALITY[name][0] for name in _SURVEYED)),
        rows,
        folded=True,
        marked=numbers.index(in_use) if in_use in numbers else None,
    )


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least}–{most}"


def _suggest(suggestion: Mapping[str, Any]) -> str:
    if suggestion["num_parts"] is None:
        return "The labels keep no company, so that communities suggest no number of groups."
    return (
        f"The co-occurrence graph falls into {suggestion['num_parts']} communities (Louvain, "
        f"{100 * suggestion['share']:.0f} % of the seeds, modularity "
        f"{number(suggestion['modularity'])}). That is a hint and no more: it knows neither what "
        "a teacher costs nor what it teaches. K is partition.num_parts."
    )
