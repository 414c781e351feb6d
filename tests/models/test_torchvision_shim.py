"""The shim declares operators only where torchvision's own library cannot be loaded."""

import subprocess
import sys

import pytest
import torch

from mlic.models import torchvision_shim


def test_nothing_is_declared_where_torch_and_torchvision_match():
    torchvision_shim.allow_torchvision_without_cuda()
    import torchvision

    if not torchvision.extension._has_ops():
        pytest.skip("this torchvision was built for another torch")
    assert torchvision_shim._declared == []
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2)
    assert torchvision.ops.nms(boxes, torch.tensor([1.0, 2.0]), 0.5).tolist() == [1]


@pytest.mark.slow  # imports torch in another process
def test_operators_are_declared_where_the_library_does_not_load(tmp_path):
    program = (
        "import sys, torch\n"
        "from types import SimpleNamespace\n"
        "from mlic.models import torchvision_shim as shim\n"
        "torch.version.cuda = None\n"
        f"shim.find_spec = lambda _: SimpleNamespace(origin={str(tmp_path / '__init__.py')!r})\n"
        "shim.allow_torchvision_without_cuda()\n"
        "assert shim._declared\n"
        "assert torch.ops.torchvision.nms and torch.ops.torchvision.qnms\n"
    )
    (tmp_path / "_C.so").write_bytes(b"built for another torch")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_is_declared_without_torchvision(monkeypatch):
    monkeypatch.setattr(torchvision_shim, "find_spec", lambda _: None)
    monkeypatch.setattr(torchvision_shim, "_declared", [])
    torchvision_shim.allow_torchvision_without_cuda()
    assert torchvision_shim._declared == []
