"""What a student gains by parallel self-distillation, and how much of it is due to label groups.

    python benchmarks/psd_gain.py --study NAME [--seeds N] [--first N] [--quick] [--write]
    python benchmarks/psd_gain.py --study NAME --report [--write]

The claims are those of ``results/psd_gain/<study>.json``: gains of the student over the baseline,
over students of full-label teachers at equal cost, and over students of random groups. Rows, one
per setting and seed, are appended to ``results/psd_gain/<study>.csv`` as they finish, and a script
that was stopped continues where it was; several may measure different seeds at the same time.
Settings are chosen on validation images, claims are made on test images; intervals are paired over
seeds, 95 %, from Student's t distribution. ``--report`` measures nothing and uses the committed
rows; ``--quick`` measures a few rows in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch
from common import ROOT, header, table
from gain.comparison import summary
from gain.harness import RESULTS, Study, write_report

STUDIES = {  # and the module of each
    "finetune": "finetune",
    "folds": "folds",  # candidates for a larger gain, each seed with test images of its own
    "ucmerced_5": "finetune",  # images per class
    "ucmerced_10": "finetune",
    "ucmerced_20": "finetune",
    "frozen_features": "frozen_features",
    "shift": "shift",
}
DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "weights" / "mobilenetv2_035.keras_in1k.safetensors"


def main() -> None:
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)  # figures depend to the last bit on the number of threads
    study: Study = import_module(f"gain.{STUDIES[options.study]}").make_study(options)
    if options.report:
        store = study.confirmed()
    else:
        if study.measure is None:
            raise SystemExit(f"no new rows of '{study.name}' can be measured: use --report")
        store = study.store(Path(tempfile.mkdtemp()) if options.quick else RESULTS)
        number = options.seeds or (1 if options.quick else study.seeds)
        for seed in range(options.first, options.first + number):
            study.measure(store, seed)
    rows = store.rows()
    print(table(summary(rows)))
    if options.write:
        seeds = rows.index.get_level_values("seed").nunique()
        about = header() | {"configuration": store.config, "rows": len(rows), "seeds": seeds}
        write_report(study, about, rows)
    print(json.dumps([asdict(claim) for claim in study.claims(rows)]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", choices=STUDIES, default="shift")
    parser.add_argument("--folder", type=Path, default=DATA / "corel5k", help="Corel5k's folder")
    parser.add_argument("--merced", type=Path, default=DATA / "ucm17", help="UC Merced's folder")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="weights of the backbone")
    parser.add_argument("--seeds", type=int, help="number of seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--report", action="store_true", help="measure nothing, use committed rows")
    parser.add_argument("--quick", action="store_true", help="one seed, few rows, one epoch")
    parser.add_argument("--write", action="store_true", help="write the tables and claims")
    options = parser.parse_args()
    if options.quick and options.write:
        parser.error("--quick measures too little to be written: leave out --write")
    return options


if __name__ == "__main__":
    main()
