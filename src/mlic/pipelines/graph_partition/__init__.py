"""Turn counts into label graphs, and cut each into K groups."""

from mlic.pipelines.graph_partition.pipeline import create_pipeline

__all__ = ["create_pipeline"]
