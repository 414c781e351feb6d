"""What the person gains by PSD, and how much of it is label groups.

    python benchmarks/psd_gain.py --study NAME [--seeds N] [--workers N] [--quick] [--write]
    python benchmarks/psd_gain.py --study NAME --tune
    python benchmarks/psd_gain.py --study wide|narrow --tries [--write]
    python benchmarks/psd_gain.py --study narrow --costs [--write]

Raw rows, one a setting and seed, are appended to ``benchmarks/results/psd_gain/<study>.jsonl`` as
they finish, and a script that was stopped goes on where it was. Settings are chosen by validation
figures, claims are made of test figures; intervals are paired over seeds, 95 %, from Student's t
distribution. ``--tune`` and ``--tries`` look at validation images only; ``--costs`` times all
kinds of training side by side, which wants an idle machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from common import ROOT, header, table
from gain.figures import save_image
from gain.report import RESULTS, summary, write_report

FEW = ("ucmerced_5", "ucmerced_10", "ucmerced_20")  # images a class
TRIES = "wide_tries.jsonl", "narrow_tries.jsonl"
STUDIES = ("wide", "narrow", "shift", *FEW)
DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "weights" / "mobilenetv2_035.keras_in1k.safetensors"


def main() -> None:
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(tempfile.mkdtemp()) if options.quick else RESULTS
    if options.tune:
        kind = "tuning" if options.study == "wide" else "finetuned_tuning"
        import_module(f"gain.{kind}").tune(options, folder / f"{options.study}_tuning.jsonl")
        return
    if options.tries:
        if options.study == "narrow":
            import_module("gain.narrow_tries").tell_tries(RESULTS / TRIES[1], options.write)
        else:
            import_module("gain.tries").try_ways(options, folder / TRIES[0])
        return
    if options.costs:
        import_module("gain.narrow_costs").measure_costs(options, folder / "narrow_costs.json")
        return
    study = import_module("gain.narrow" if options.study in FEW else f"gain.{options.study}")
    store = study.open_store(options, folder / f"{options.study}.jsonl")
    if options.workers:
        study.make_rows(options, store)
    rows = store.rows()
    claims = study.claims(rows)
    print(table(summary(rows)))
    if options.write:
        seeds = len({row["seed"] for row in rows})
        about = header() | {"configuration": store.config, "rows": len(rows), "seeds": seeds}
        write_report(options.study, about, rows, claims, study.ingredients(rows))
        for name, figure in study.figures(rows).items():
            save_image(figure, RESULTS / f"{options.study}_{name}.png", options.browser)
    print(json.dumps([asdict(claim) for claim in claims]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", choices=STUDIES, default="wide")
    parser.add_argument("--folder", type=Path, default=DATA / "corel5k", help="of Corel5k")
    parser.add_argument("--merced", type=Path, default=DATA / "ucm17", help="of UC Merced")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="of the backbone")
    parser.add_argument("--seeds", type=int, help="number of seeds")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, one thread each; 0: tell what there is"
    )
    parser.add_argument("--tune", action="store_true", help="choose hyper-parameters")
    parser.add_argument("--tries", action="store_true", help="other ways that were tried")
    parser.add_argument("--costs", action="store_true", help="what each row of narrow costs")
    parser.add_argument("--quick", action="store_true", help="few seeds, rows and epochs")
    parser.add_argument("--write", action="store_true", help="keep table, figures and claims")
    parser.add_argument("--browser", default="chromium", help="draws the figures")
    options = parser.parse_args()
    if options.tries and options.study not in ("wide", "narrow"):
        parser.error(f"no other ways were tried in the study {options.study!r}")
    if options.tune and options.study == "shift":
        parser.error("the study 'shift' takes the demo's parameters: there is nothing to tune")
    if options.costs and options.study != "narrow":
        parser.error("costs are measured in the study 'narrow': say --study narrow")
    return options


if __name__ == "__main__":
    main()
