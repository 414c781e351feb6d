"""Nodes that survey and draw the groups of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.labels.options import PartitionOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from networkx import Graph
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    Graph = DataFrame = Figure = Partition = LabelStatistics = Any

__all__ = ["draw_partitions", "draw_survey", "suggest_parts", "survey_groups"]


def survey_groups(
    graph: Graph,  # type: ignore[type-arg]
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
) -> DataFrame:
    """Quality of the cuts of one graph for every K worth a look, the wired one among them."""
    import pandas as pd

    from mlic.labels.partition.survey import possible_parts, survey_parts

    strategy, exponent = graph.graph["strategy"], graph.graph["exponent"]
    ks = {*possible_parts(len(statistics.space), options.min_size), options.num_parts}
    own_seed = derive_seed(seed, f"partition_{strategy}")  # so that the wired K is the one in use
    rows = survey_parts(
        statistics, strategy, exponent, sorted(ks), own_seed, min_size=options.min_size
    )
    return pd.DataFrame(rows)


def suggest_parts(statistics: LabelStatistics, seed: int) -> dict[str, Any]:
    """Number of communities that the labels form, for the person who chooses K.

    Returns
    -------
    dict
        ``num_parts``, null where labels keep no company; ``share`` of the seeds that found it;
        ``modularity``.
    """
    from dataclasses import asdict

    from mlic.labels.partition import survey

    return asdict(survey.suggest_parts(statistics, derive_seed(seed, "suggest_parts")))


def draw_survey(
    survey: DataFrame, suggested_parts: dict[str, Any], options: PartitionOptions
) -> Figure:
    """Quality over K, with the K in use and the one that communities suggest."""
    from mlic.labels.partition.survey import Suggestion
    from mlic.report import figures

    rows = [{str(name): value for name, value in row.items()} for row in survey.to_dict("records")]
    return figures.draw_survey(rows, options.num_parts, Suggestion(**suggested_parts))


def draw_partitions(statistics: LabelStatistics, **partitions: Partition) -> Figure:
    """Company of all labels in the order of each partition, side by side."""
    from mlic.report import figures

    return figures.draw_partitions(statistics, {p.strategy: p for p in partitions.values()})
