"""Seeds: every use of randomness derives its own from the seed of the run, by name."""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(seed: int, name: str) -> int:
    """Derive the seed of one use of randomness from the seed of the run.

    Seeds derived under different names, such as ``"split"`` or ``"teachers.cgp_0"``, are unrelated,
    so adding, removing or reordering nodes does not change the results of other nodes. They are in
    [0, 2³¹): NumPy, PyTorch and scikit-learn all accept them.

    Examples
    --------
    >>> derive_seed(0, "split")
    1586112281
    >>> derive_seed(0, "split") == derive_seed(1, "split")
    False
    """
    # Python's own hash() of a text differs between processes.
    digest = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # 31 bits: signed 32-bit seeds must fit
