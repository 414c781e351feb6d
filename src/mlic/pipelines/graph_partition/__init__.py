"""Graph partition: label graphs, and their partitions into groups."""

from mlic.pipelines.graph_partition.pipeline import create_pipeline

__all__ = ["create_pipeline"]
