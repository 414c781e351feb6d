"""Draw the README's image: COCO's labels, cut into groups that keep company and that do not.

    python benchmarks/draw_partition_figure.py [--shared FOLDER] [--browser chromium]

It needs COCO's label matrix, `data/labels/coco2014_train.npz` in the folder given (arrays `labels`,
images × 80, and `classes`), which is not part of this project, and Chrome or Chromium, which
turns plotly's page into an image. It prints how much company either partition holds.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT
from PIL import Image

from mlic.labels.options import PartitionOptions
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.partition.quality import partition_quality
from mlic.labels.space import LabelSpace
from mlic.labels.statistics import count_labels
from mlic.report.figures import draw_partitions

IMAGE = ROOT / "docs" / "coco_partitions.png"
WIDTH, HEIGHT = 1890, 880  # pixels; room for all names
COLOURS = 128  # enough for one hue, frames and text; keeps the file small


def main() -> None:
    options = parse()
    labels = options.shared / "data" / "labels" / "coco2014_train.npz"
    browser = shutil.which(options.browser)
    if not labels.is_file():
        raise SystemExit(f"no COCO labels at {labels}: give their folder with --shared")
    if browser is None:
        raise SystemExit(f"no browser '{options.browser}': install Chromium or give --browser")
    with np.load(labels) as file:
        statistics = count_labels(file["labels"], LabelSpace(tuple(file["classes"].tolist())))
    shipped = PartitionOptions(num_parts=options.num_parts)
    partitions = {
        strategy: partition_labels(statistics, strategy, shipped.num_parts, exponent)
        for strategy, exponent in shipped.exponents.items()
    }
    figure = draw_partitions(statistics, partitions)
    figure.update_layout(width=WIDTH, height=HEIGHT).update_yaxes(dtick=1, tickfont_size=8)
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "figure.html", Path(folder) / "figure.png"
        figure.write_html(page, config={"displayModeBar": False})
        size = f"--window-size={WIDTH + 16},{HEIGHT + 16}"
        headless = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", size]
        waiting = ["--virtual-time-budget=10000", f"--screenshot={shot}"]
        subprocess.run([*headless, *waiting, page.as_uri()], check=True, capture_output=True)
        IMAGE.parent.mkdir(exist_ok=True)
        Image.open(shot).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(
            IMAGE, optimize=True
        )
    for strategy, partition in partitions.items():
        quality = partition_quality(partition, statistics)
        ours, random = (quality[f"coverage_graph{kind}"] for kind in ("", "_random"))
        print(f"{strategy}: {ours:.0%} of all company inside, {random:.0%} in random groups")
    print(f"{IMAGE.relative_to(ROOT)}: {IMAGE.stat().st_size / 1000:.0f} kB")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--num-parts", type=int, default=5)
    parser.add_argument("--browser", default="chromium")
    return parser.parse_args()


if __name__ == "__main__":
    main()
