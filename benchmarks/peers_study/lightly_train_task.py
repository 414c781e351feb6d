"""lightly-train's multi-label image classification, with the same transforms as the others."""

import csv
import sys
from pathlib import Path

import lightly_train
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

folder, backbone, weights, epochs, batch, size, rate, seed = sys.argv[1:9]
epochs, batch, size, rate = int(epochs), int(batch), int(size), float(rate)

if __name__ == "__main__":
    classes = Path(folder, "classes.txt").read_text().split()
    number = len(Path(folder, "train.csv").read_text().splitlines()) - 1
    views = {"image_size": (size, size), "color_jitter": None, "random_crop": {"min_scale": 0.6}}
    lightly_train.train_image_classification(
        out=f"{folder}/out",
        model=f"timm/{backbone}",
        classification_task="multilabel",
        data={
            "train": f"{folder}/train.csv",
            "val": f"{folder}/validation.csv",
            "classes": dict(enumerate(classes)),
            "csv_image_column": "path",
            "csv_label_column": "labels",
            "label_delimiter": ";",
        },
        steps=epochs * (number // batch),
        batch_size=batch,
        num_workers=2,
        precision="32-true",
        seed=int(seed),
        model_args={
            "lr": rate,
            "backbone_args": {"num_classes": 0},
        },
        transform_args={**views, "val": {"image_size": (size, size), "resize_scale": None}},
    )
    model = lightly_train.load_model(f"{folder}/out/exported_models/exported_best.pt").eval()
    to_input = v2.Compose(
        [
            v2.Resize((size, size)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    for split in ("validation", "test"):
        with Path(folder, f"{split}.csv").open() as file:
            paths = [row["path"] for row in csv.DictReader(file)]
        images = [to_input(Image.open(Path(folder, path)).convert("RGB")) for path in paths]
        with torch.no_grad():
            logits = [model.forward_backend(part) for part in torch.stack(images).split(batch)]
        np.save(Path(folder, f"{split}.npy"), torch.cat(logits).numpy())
