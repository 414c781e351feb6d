"""Partitions of the labels: the checked cover, its cuts, its quality and the choice of K."""

from mlic.labels.partition.cover import Partition, user_partition

__all__ = ["Partition", "user_partition"]
