"""Randomness has one source: the run's seed, from which every node derives its own by name."""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(seed: int, name: str) -> int:
    """Seed of one use of randomness, the same wherever and whenever that use runs.

    Seeds derived under different names are unrelated, so that adding, dropping or reordering
    nodes changes no other node's figures.

    Parameters
    ----------
    seed
        The run's seed.
    name
        What the randomness is for, such as ``"split"`` or ``"teachers.cgp_0"``.

    Returns
    -------
    int
        A number in [0, 2³¹), which NumPy, PyTorch and scikit-learn all take as a seed.

    Examples
    --------
    >>> derive_seed(0, "split")
    1586112281
    >>> derive_seed(0, "split") == derive_seed(1, "split")
    False
    """
    digest = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
