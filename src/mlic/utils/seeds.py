"""Seeds: every use of randomness derives its own from the seed of the run, by name."""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(seed: int, name: str) -> int:
    """Derive the seed of one use of randomness, the same wherever and whenever that use runs.

    Seeds derived under different names are unrelated, so adding, removing or reordering nodes does
    not change the results of other nodes.

    Parameters
    ----------
    seed
        Seed of the run.
    name
        What the randomness is for, such as ``"split"`` or ``"teachers.cgp_0"``.

    Returns
    -------
    int
        In [0, 2³¹): NumPy, PyTorch and scikit-learn all accept it as a seed.

    Examples
    --------
    >>> derive_seed(0, "split")
    1586112281
    >>> derive_seed(0, "split") == derive_seed(1, "split")
    False
    """
    digest = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # 31 bits: signed 32-bit seeds must fit
