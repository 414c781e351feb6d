"""Nodes that survey and draw the groups of labels.

networkx types are generic in its stubs alone: they take no argument at run time, when Kedro reads
the annotations.
"""

from __future__ import annotations

import networkx as nx
import pandas as pd
import plotly.graph_objects as go

from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.labels.statistics import LabelStatistics
from mlic.seeds import derive_seed

__all__ = ["draw_partitions", "draw_survey", "survey_groups"]


def survey_groups(
    graph: nx.Graph,  # type: ignore[type-arg]
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
) -> pd.DataFrame:
    """Quality of the cuts of one graph for every K worth a look, the wired one among them."""
    from mlic.labels.survey import possible_parts, survey_parts

    strategy, exponent = graph.graph["strategy"], graph.graph["exponent"]
    ks = {*possible_parts(len(statistics.space), options.min_size), options.num_parts}
    own_seed = derive_seed(seed, f"partition_{strategy}")  # so that the wired K is the one in use
    rows = survey_parts(
        statistics, strategy, exponent, sorted(ks), own_seed, min_size=options.min_size
    )
    return pd.DataFrame(rows)


def draw_survey(
    survey: pd.DataFrame, statistics: LabelStatistics, options: PartitionOptions, seed: int
) -> go.Figure:
    """Quality over K, with the K in use and the one that communities suggest."""
    from mlic import figures
    from mlic.labels.survey import suggest_parts

    suggestion = suggest_parts(statistics, derive_seed(seed, "suggest_parts"))
    rows = [{str(name): value for name, value in row.items()} for row in survey.to_dict("records")]
    return figures.draw_survey(rows, options.num_parts, suggestion)


def draw_partitions(statistics: LabelStatistics, **partitions: Partition) -> go.Figure:
    """Company of all labels in the order of each partition, side by side."""
    from mlic import figures

    return figures.draw_partitions(statistics, {p.strategy: p for p in partitions.values()})
