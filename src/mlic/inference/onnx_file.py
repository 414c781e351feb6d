"""Export to ONNX: one file from pixels to calibrated probabilities, compared with torch."""

from __future__ import annotations

import json
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate

from mlic import __version__
from mlic.errors import CheckpointError, ParameterError
from mlic.inference.model import TrainedModel
from mlic.models.heads.base import Head
from mlic.models.options import HEADS
from mlic.utils.plugins import find_plugin

__all__ = ["OPSET", "TOLERANCE", "export_onnx"]

OPSET = 20
TOLERANCE = 1e-4  # largest difference of a probability between onnxruntime and torch
_OUTPUTS = ["probabilities", "logits"]


class _PixelsToProbabilities(nn.Module):
    """Everything between an image of the right size and its probabilities."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        spec, decoded = model.checkpoint.input_spec, model.checkpoint.decoded_size
        self.model, self.output = model.checkpoint.build().fold(), model.calibration.module()
        self.scale = nn.Buffer(torch.tensor(spec.std).view(1, 3, 1, 1) * 255)
        self.shift = nn.Buffer(torch.tensor(spec.mean).view(1, 3, 1, 1) * 255)
        self.resize = nn.Buffer(_resize_matrix(decoded, spec.size))
        self.is_resized = decoded != spec.size

    def forward(
        self, images: torch.Tensor, known: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute probabilities and logits of uint8 pixels (B, S, S, 3); shape (B, C) each."""
        pixels = images.permute(0, 3, 1, 2).float()
        if self.is_resized:
            pixels = self.resize @ pixels @ self.resize.T
        logits = self.model((pixels - self.shift) / self.scale, known)
        return self.output(logits, known), logits


def _resize_matrix(size: int, target: int) -> torch.Tensor:
    """Antialiased bilinear resampling of one axis as a matrix (target, size).

    ONNX has no operator that equals torch's to the last digit.
    """
    identity = torch.eye(size)[None, None]
    resized = interpolate(
        identity, size=(target, size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0, 0]


def export_onnx(model: TrainedModel, images: NDArray[np.uint8]) -> bytes:
    """Export a model to ONNX, and compare it with torch on real images.

    The graph takes ``images``: RGB pixels of any number of images, uint8, shape
    (batch, S, S, 3), where S is ``decoded_size`` of the metadata. A model that can use known labels
    also takes ``known``: int64 states (1 present, 0 absent, −1 unknown), shape (batch, C). It
    returns ``probabilities``, which are calibrated, and ``logits``; float32, shape (batch, C). The
    metadata hold ``labels``, ``thresholds``, ``rule``, ``target``, ``decoded_size``,
    ``fingerprint`` and the version of mlic as JSON.

    Parameters
    ----------
    model
        The trained model.
    images
        Decoded images for the comparison; uint8, shape (n, S, S, 3) with n of at least 1.

    Returns
    -------
    bytes
        Content of the ONNX file.

    Raises
    ------
    CheckpointError
        If a probability of the exported model differs from torch's by more than 1e-4.
    ParameterError
        If onnx, onnxruntime or onnxscript are not installed.
    """
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ParameterError(
            f"the export to ONNX needs {', '.join(missing)}: install them with "
            'pip install -c constraints.txt -e ".[export]"',
            name=missing[0],
        )
    content = _add_metadata(_convert(_PixelsToProbabilities(model).eval(), model), model)
    for batch in (images[:1], images):
        _compare(content, model, batch)
    return content


def _uses_known(model: TrainedModel) -> bool:
    head: type[Head] = find_plugin(HEADS, model.checkpoint.info.model.head)
    return head.uses_known


def _convert(module: nn.Module, model: TrainedModel) -> bytes:
    """Trace the module with a free batch size."""
    side, batch = model.checkpoint.decoded_size, torch.export.Dim("batch")
    # Two images: a batch of one would be taken for a constant.
    inputs: dict[str, Any] = {"images": torch.zeros(2, side, side, 3, dtype=torch.uint8)}
    if _uses_known(model):
        inputs["known"] = torch.full((2, len(model.labels)), -1)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of the exporter, about its own internals
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamic_shapes={name: {0: batch} for name in inputs},
            input_names=list(inputs),
            output_names=_OUTPUTS,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        file = Path(folder) / "model.onnx"
        program.save(file)
        return file.read_bytes()


def _add_metadata(content: bytes, model: TrainedModel) -> bytes:
    import onnx

    proto, calibration = onnx.load_from_string(content), model.calibration
    about = {
        "labels": model.labels,
        "thresholds": calibration.thresholds,
        "rule": calibration.rule,
        "target": calibration.target,
        "decoded_size": model.checkpoint.decoded_size,
        "resize": "bilinear with antialiasing, without keeping the aspect ratio",
        "fingerprint": model.checkpoint.fingerprint,
        "mlic": __version__,
    }
    onnx.helper.set_model_props(proto, {name: json.dumps(value) for name, value in about.items()})
    return bytes(proto.SerializeToString())


def _compare(content: bytes, model: TrainedModel, pixels: NDArray[np.uint8]) -> None:
    """Refuse a graph whose probabilities are not those of torch."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs: dict[str, NDArray[Any]] = {"images": pixels}
    known = None
    if _uses_known(model):
        rng = np.random.default_rng(0)
        known = rng.integers(-1, 2, (len(pixels), len(model.labels)))
        inputs["known"] = known
    found = session.run(["probabilities"], inputs)[0]
    states = None if known is None else known.astype(np.int8)
    expected = model.calibration.probabilities(model.compute_logits(pixels, states), states)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:  # NaN too
        raise CheckpointError(
            f"the exported model differs from torch by {difference:.1e} in a probability, more "
            f"than {TOLERANCE}: it is not kept; export it with another version of torch or onnx",
            name=model.checkpoint.info.name,
            found=difference,
            expected=TOLERANCE,
        )
