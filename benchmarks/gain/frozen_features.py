"""Historical rows of small networks on frozen features, for many seeds and numbers of groups.

One hidden layer was trained on the pooled features of a frozen MobileNetV2 by a batched trainer
that is no longer part of the repository.
"""

from __future__ import annotations

import argparse
from functools import partial

from gain import claims
from gain.harness import Study

COMMIT = "ddd332b"
NOTE = (
    f"These rows are historical. They were measured at commit {COMMIT} by a batched trainer "
    "(`benchmarks/gain/hidden.py` of that commit), which trained many small networks at once and "
    "was removed because it is not the code of the product. The claims are recomputed from the "
    "rows; no command measures new rows. `cost` counts training passes of entire models, "
    "`cost_shared` those of heads on a trunk that runs once."
)


def make_study(options: argparse.Namespace) -> Study:
    """The study of the historical rows."""
    return Study(
        name="frozen_features",
        configuration={"measured at": COMMIT},
        seeds=20,
        measure=None,
        claims=partial(claims.claims, least=0.0),
        ingredients=claims.ingredients,
        note=NOTE,
    )
