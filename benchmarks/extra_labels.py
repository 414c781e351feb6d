"""Concepts that are known at test time: accuracy of bird species on CUB (CUB-312 in C-Tran).

    kedro run --env cub --params folder=/data/CUB_200_2011
    python benchmarks/extra_labels.py --folder /data/CUB_200_2011 --write

The student's 112 concepts lie in 28 groups, of which 0, 10, 15 or 20 are known; the species is the
one with the highest logit, and never known. Groups are chosen for each image by its id. The split
is the official one of 5,994 and 5,794 images; C-Tran was published on another (9,430 and 2,358:
83.8, 90.0, 97.0 and 98.0 %), so that its figures cannot be compared with these.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Claim, emit

import mlic
from mlic.datasets import CubDataset
from mlic.evaluation.extra_labels import concept_groups, known_groups, top1_accuracy

KNOWN_GROUPS = (0, 10, 15, 20)
SEEDS = (0, 1, 2)


def main() -> None:
    """Score the model with every number of known groups, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="CUB_200_2011")
    default = ROOT / "data/06_models/cub/student.safetensors"
    parser.add_argument("--model", type=Path, default=default, help="a checkpoint of --env cub")
    parser.add_argument("--quick", action="store_true", help="100 test images, one seed")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    model, records = mlic.load_model(options.model), CubDataset(str(options.folder)).load()
    rows = records.labels.rows("test")[: 100 if options.quick else None]
    test = records.labels.take(rows)
    # The model has the labels of its own training, which may lack some.
    test = test.with_labels(test.space.indices(model.labels))
    sources = [records.sources[row] for row in rows]
    grouped = {column for own in concept_groups(test.space).values() for column in own}
    species = [column for column in range(len(test.space)) if column not in grouped]
    seeds, table = SEEDS[:1] if options.quick else SEEDS, list[dict[str, Any]]()
    means = {}
    for number in KNOWN_GROUPS:
        found = []
        for seed in seeds if number else seeds[:1]:
            known = known_groups(test.states, test.ids.tolist(), test.space, number, seed)
            logits = model.logits(sources, known=known)
            found.append(100 * top1_accuracy(logits, test.states, species))
        means[number] = float(np.mean(found))
        deviation = f" ± {np.std(found, ddof=1):.2f}" if len(found) > 1 else ""
        table.append({"known groups": number, "accuracy": f"{means[number]:.2f}{deviation}"})
    rise = means[KNOWN_GROUPS[-1]] - means[0]
    emit(
        __file__,
        table,
        [Claim("species_20_groups_above_0", rise, "points of accuracy", "> 0", rise > 0, [*seeds])],
        options.write,
    )


if __name__ == "__main__":
    main()
