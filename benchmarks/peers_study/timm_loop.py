"""A plain training loop with timm, torchvision's transforms and PyTorch's DataLoader."""

import csv
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

folder, backbone, weights, epochs, batch, size, rate, seed = sys.argv[1:9]
epochs, batch, size, rate = int(epochs), int(batch), int(size), float(rate)
normalise = [
    v2.ToImage(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
]
train_views = v2.Compose(
    [v2.RandomResizedCrop(size, scale=(0.6, 1)), v2.RandomHorizontalFlip(), *normalise]
)
test_views = v2.Compose([v2.Resize((size, size)), *normalise])
classes = Path(folder, "classes.txt").read_text().split()
OPTIONS = {"pad_type": "same"} if backbone.startswith("mobilenet") else {}


class Images(Dataset):
    def __init__(self, split, views):
        with Path(folder, f"{split}.csv").open() as file:
            self.rows, self.views = list(csv.DictReader(file)), views

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        row = self.rows[number]
        image = Image.open(Path(folder, row["path"])).convert("RGB")
        present = set(row["labels"].split(";"))
        return self.views(image), torch.tensor([float(name in present) for name in classes])


@torch.no_grad()
def predict(model, loader):
    model.eval()
    found = [(model(images), targets) for images, targets in loader]
    return torch.cat([a for a, _ in found]).numpy(), torch.cat([b for _, b in found]).numpy()


if __name__ == "__main__":
    torch.manual_seed(int(seed))
    loader = DataLoader(
        Images("train", train_views),
        batch,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        drop_last=True,
    )
    validation = DataLoader(Images("validation", test_views), batch, num_workers=2)
    model = timm.create_model(backbone, num_classes=len(classes), **OPTIONS)
    if weights != "none":
        model.load_state_dict(load_file(weights), strict=False)
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=epochs * len(loader)
    )
    best = -1.0
    for epoch in range(epochs):
        model.train()
        for images, targets in loader:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        logits, truth = predict(model, validation)
        seen = truth.any(axis=0)
        score = average_precision_score(truth[:, seen], logits[:, seen])
        print(epoch, score)
        if score > best:
            best = score
            torch.save(model.state_dict(), Path(folder, "best.pt"))
    model.load_state_dict(torch.load(Path(folder, "best.pt")))
    for split in ("validation", "test"):
        logits, _ = predict(model, DataLoader(Images(split, test_views), batch, num_workers=2))
        np.save(Path(folder, f"{split}.npy"), logits)
