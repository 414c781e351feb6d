"""An environment of a project of mlic, one command, and the trained model."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np

import mlic

folder, backbone, weights, epochs, batch, size, rate, seed = sys.argv[1:9]
OPTIONS = "{pad_type: same}" if backbone.startswith("mobilenet") else "{}"
WEIGHTS = "null" if weights == "none" else weights
CATALOG = f"""
raw_images: {{type: mlic.datasets.ManifestDataset, filepath: {folder}/manifest.csv}}
"""
PARAMETERS = f"""
seed: {seed}
data: {{source: catalog, image_size: {size}}}
model: {{backbone: {backbone}, backbone_options: {OPTIONS}, weights: {WEIGHTS}}}
training: {{epochs: {epochs}, batch_size: {batch}, learning_rate: {rate}, threads: 2}}
"""

if __name__ == "__main__":
    environment = Path("conf/mine")
    environment.mkdir(exist_ok=True)
    (environment / "catalog.yml").write_text(CATALOG)
    (environment / "parameters.yml").write_text(PARAMETERS)
    command = ["kedro", "run", "--env", "mine", "--to-outputs", "baseline.checkpoint"]
    subprocess.run([sys.executable, "-m", *command], check=True)
    model = mlic.load_model("data/06_models/mine/trained/baseline.safetensors")
    classes = Path(folder, "classes.txt").read_text().split()
    for split in ("validation", "test"):
        with Path(folder, f"{split}.csv").open() as file:
            paths = [str(Path(folder, row["path"])) for row in csv.DictReader(file)]
        found = model.probabilities(paths)
        np.save(Path(folder, f"{split}.npy"), found[:, [model.labels.index(c) for c in classes]])
