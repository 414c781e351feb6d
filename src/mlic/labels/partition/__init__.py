"""Partitions of the label space: quality, cuts and their search."""

from mlic.labels.partition.partition import Partition

__all__ = ["Partition"]
