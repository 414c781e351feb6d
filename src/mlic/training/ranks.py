"""Ranks: the processes of one training, each with a device of its own.

Outside `mlic.training.launch` there is one process, for which every function here is the identity.
Losses are scaled so that their mean over the ranks is the loss of the whole batch, because
`DistributedDataParallel` takes the mean of the gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

__all__ = [
    "batch_part",
    "count_over_ranks",
    "gather_rows",
    "mean_over_ranks",
    "num_ranks",
    "own_part",
    "rank",
    "share_scores",
    "sum_over_ranks",
]


def num_ranks() -> int:
    """Count the processes of this training."""
    return distributed.get_world_size() if _is_split() else 1


def rank() -> int:
    """Return the number of this process, from 0; rank 0 reports, saves and returns the result."""
    return distributed.get_rank() if _is_split() else 0


def _is_split() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def own_part(number: int, of: int | None = None) -> slice:
    """Return this rank's part, or that of another rank, of so many rows that are divided in order.

    Parts differ by at most one row; one of them is empty if there are fewer rows than ranks.
    """
    ranks, own = num_ranks(), rank() if of is None else of
    return slice(own * number // ranks, (own + 1) * number // ranks)


def batch_part(number: int) -> slice:
    """Return this rank's part of a batch of so many images: all of them if there are fewer images.

    No part is empty, because many models cannot compute nothing. A mean is the same if all ranks
    compute the same; a sum is not, see `mlic.training.train`.
    """
    return slice(0, number) if number < num_ranks() else own_part(number)


def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Add a tensor without gradient over all ranks; each gets the sum."""
    if num_ranks() > 1:
        values = values.clone()
        distributed.all_reduce(values)
    return values


def count_over_ranks(count: torch.Tensor) -> torch.Tensor:
    """Return the divisor that makes sums of terms a mean over the whole batch.

    A rank's sum, divided by it, is a number whose mean over the ranks is the mean over all terms.

    Parameters
    ----------
    count
        Number of terms in this rank's part of the batch; an integer, shape ().

    Returns
    -------
    torch.Tensor
        Number of all terms, at least 1, divided by the number of ranks.
    """
    total = sum_over_ranks(count).clamp(min=1)
    return total if num_ranks() == 1 else total / num_ranks()


def mean_over_ranks(values: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Read numbers on the device, each the mean over the ranks."""
    if num_ranks() == 1:
        return {name: float(value) for name, value in values.items()}
    means = sum_over_ranks(torch.stack(list(values.values()))) / num_ranks()
    return dict(zip(values, means.tolist(), strict=True))


def gather_rows(part: NDArray[np.float32], total: int) -> NDArray[np.float32]:
    """Join the parts of all ranks on rank 0, in order; the other ranks get their own part back.

    Parameters
    ----------
    part
        This rank's rows, those of `own_part`; shape (b, C).
    total
        Number of rows of all ranks.
    """
    ranks = num_ranks()
    if ranks == 1:
        return part
    # all parts have one shape, because a collective operation asks for it
    padded = torch.zeros(-(-total // ranks), part.shape[1])
    padded[: len(part)] = torch.from_numpy(part)
    if rank() > 0:
        distributed.gather(padded)
        return part
    parts = [torch.empty_like(padded) for _ in range(ranks)]
    distributed.gather(padded, parts)
    bounds = (own_part(total, of) for of in range(ranks))
    return np.concatenate(
        [own[: b.stop - b.start].numpy() for own, b in zip(parts, bounds, strict=True)]
    )


def share_scores(scores: Sequence[float]) -> list[float]:
    """Give every rank the scores of rank 0, so that all take the same decisions."""
    if num_ranks() == 1:
        return list(scores)
    values = torch.tensor(scores, dtype=torch.float64)
    distributed.broadcast(values, src=0)
    return [float(value) for value in values]
