"""What the report says of groups: their labels and teachers, their quality, and other numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.labels.options import PLAIN
from mlic.pipelines.reporting.markup import cell, note, number, row_name, section, table, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["group_section", "strategy_title", "survey_section"]

_STRATEGIES = {
    "cgp": "Co-occurrence (CGP)",
    "dgp": "Dis-occurrence (DGP)",
    "random": "Random groups",
    "user": "Groups by hand",
    "plain": "Plain ensemble",
}
_QUALITY = {
    "ncut": ("normalised cut", "co-occurrence cut between groups, relative to what each has"),
    "modularity": ("modularity", "co-occurrence inside groups beyond what chance puts there"),
    "mass_counts": ("pairs inside", "share of all label pairs seen that fall into one group"),
    "mass_counts_random": ("… at random", "the same for random groups of these sizes"),
    "mass_counts_random_sd": ("… its spread", "standard deviation over 100 random groupings"),
    "mass_graph": ("weight inside", "share of the co-occurrence graph's weight within groups"),
    "mass_graph_random": ("… at random", "the same for random groups of these sizes"),
    "mass_graph_random_sd": ("… its spread", "standard deviation over 100 random groupings"),
    "stability": ("stability", "adjusted Rand index between cuts of several seeds: 1, all alike"),
}
_SURVEYED = ("ncut", "mass_graph", "mass_graph_random", "stability")


def strategy_title(name: str) -> str:
    """A strategy in words.

    Examples
    --------
    >>> strategy_title("cgp"), strategy_title("mine")
    ('Co-occurrence (CGP)', 'mine')
    """
    return _STRATEGIES.get(name, name)


def group_section(summary: Mapping[str, Any]) -> str:
    """Labels of each teacher with its mAP, and the quality of the groups.

    Parameters
    ----------
    summary
        ``partitions`` and ``teachers``, as in ``summary.json``.
    """
    teachers, partitions = summary["teachers"], summary["partitions"]
    tables = [
        _group_table(strategy, partition, teachers[strategy]["parts"])
        for strategy, partition in partitions.items()
    ]
    if PLAIN in teachers:
        tables.append(_plain_table(teachers[PLAIN]["parts"]))
    return section("Groups and their teachers", *tables, _quality(partitions))


def _group_table(
    strategy: str, partition: Mapping[str, Any], precisions: Sequence[float | None]
) -> str:
    parts = partition["parts"]
    titles = partition.get("titles") or []  # of groups by hand, where they have names
    rows = [
        [
            row_name(f"{strategy}_{part}"),
            *([words(titles[part])] if titles else []),
            words(", ".join(labels)),
            cell(len(labels)),
            cell(number(precision)),
        ]
        for part, (labels, precision) in enumerate(zip(parts, precisions, strict=True))
    ]
    return table(
        f"{strategy_title(strategy)}: the labels of each teacher, and its mAP on them in percent",
        ("Teacher", *(["Group"] if titles else []), "Labels", "Number", "mAP"),
        rows,
        text_columns=("Group", "Labels"),
    )


def _plain_table(precisions: Sequence[float | None]) -> str:
    rows = [
        [row_name(f"{PLAIN}_{teacher}"), cell(number(precision))]
        for teacher, precision in enumerate(precisions)
    ]
    return table(
        f"{strategy_title(PLAIN)}: teachers of all labels, and the mAP of each in percent",
        ("Teacher", "mAP"),
        rows,
    )


def _quality(partitions: Mapping[str, Mapping[str, Any]]) -> str:
    """Quality figures of all partitions side by side."""
    figures = {strategy_title(name): partition["quality"] for name, partition in partitions.items()}
    named = list(dict.fromkeys(name for quality in figures.values() for name in quality))
    rows = []
    for name in named:
        title, meaning = _QUALITY.get(name, (name, ""))
        cells = [cell(number(quality.get(name), 3)) for quality in figures.values()]
        rows.append([row_name(title), *cells, words(meaning)])
    if not rows:
        return ""
    shown = table(
        "Quality of the groups", ("Figure", *figures, "What it says"), rows, ("What it says",)
    )
    return shown + note(
        "Each is taken on the co-occurrence graph of exponent ½. Co-occurrence groups want "
        "a low cut and the rest above random; dis-occurrence groups want the opposite."
    )


def survey_section(
    partitions: Mapping[str, Mapping[str, Any]],
    surveys: Mapping[str, pd.DataFrame],
    suggestion: Mapping[str, Any] | None = None,
) -> str:
    """Quality of each cut over K, with the K in use marked, and what communities suggest.

    Parameters
    ----------
    partitions
        By strategy, as in ``summary.json``: how many parts are in use.
    surveys
        By strategy, rows of `mlic.labels.survey.survey_parts`.
    suggestion
        Entries of `mlic.labels.survey.Suggestion`.

    Returns
    -------
    str
        Markup, or nothing where no graph was cut.
    """
    if not surveys:
        return ""
    tables = [
        _survey_table(name, survey, len(partitions[name]["parts"]))
        for name, survey in surveys.items()
    ]
    told = [] if suggestion is None else [note(_suggest(suggestion))]
    return section("Other numbers of groups", *tables, *told)


def _survey_table(strategy: str, survey: pd.DataFrame, in_use: int) -> str:
    rows = [
        [
            _mark_k(int(row["num_parts"]), in_use),
            cell(_span(int(row["smallest"]), int(row["largest"]))),
            *(cell(number(row[name], 3)) for name in _SURVEYED),
        ]
        for row in survey.to_dict("records")
    ]
    return table(
        f"{strategy_title(strategy)}: quality for every K, the number of groups",
        ("K", "Labels a group", *(_QUALITY[name][0] for name in _SURVEYED)),
        rows,
    )


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least}–{most}"


def _mark_k(num_parts: int, in_use: int) -> str:
    if num_parts != in_use:
        return row_name(num_parts)
    return cell(f"{num_parts}, in use", "th", 'scope="row" class="chosen"')


def _suggest(suggestion: Mapping[str, Any]) -> str:
    if suggestion["num_parts"] is None:
        return "The labels keep no company, so that communities suggest no number of groups."
    return (
        f"The co-occurrence graph falls into {suggestion['num_parts']} communities (Louvain, "
        f"{100 * suggestion['share']:.0f} % of the seeds, modularity "
        f"{number(suggestion['modularity'])}). That is a hint and no more: it knows neither what "
        "a teacher costs nor what it teaches. K is partition.num_parts."
    )
