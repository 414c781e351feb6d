"""Let torchvision load beside a torch whose CUDA support differs.

A torchvision wheel built for CUDA beside a CPU build of torch fails at import with
``operator torchvision::nms does not exist`` (pytorch/vision#9085), and takes timm with it.
Declaring the two operators that its meta registrations look for is enough for all that
mlic needs of it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

__all__ = ["allow_torchvision_without_cuda"]

_declared: list[torch.library.Library] = []  # a library's declarations live as long as it does


def allow_torchvision_without_cuda() -> None:
    """Declare torchvision's operators if its compiled part cannot be loaded; else do nothing.

    Call before the first import of torchvision or timm.
    """
    spec = find_spec("torchvision")
    if _declared or spec is None or spec.origin is None or torch.version.cuda is not None:
        return
    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return
    fragment = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        fragment.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(fragment)
