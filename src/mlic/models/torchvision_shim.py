"""Make torchvision importable with a torch whose CUDA support differs.

A torchvision wheel built for CUDA fails at import with a CPU build of torch:
``operator torchvision::nms does not exist`` (pytorch/vision#9085), and importing timm fails too.
Declaring the two operators that its meta registrations look for is enough for everything that mlic
uses.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

__all__ = ["allow_torchvision_without_cuda"]

# a library object must stay alive: its declarations are removed with it
_declared: list[torch.library.Library] = []


def allow_torchvision_without_cuda() -> None:
    """Declare torchvision's operators if its compiled library cannot be loaded; else do nothing.

    Call this before the first import of torchvision or timm.
    """
    spec = find_spec("torchvision")
    if _declared or spec is None or spec.origin is None or torch.version.cuda is not None:
        return
    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        except OSError:
            continue  # built for CUDA
        return  # the builds match: nothing to declare
    fragment = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        fragment.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(fragment)
