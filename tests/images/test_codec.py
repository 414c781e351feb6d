"""Codec: exact without loss, close with loss, and clear where torchvision cannot decode."""

import numpy as np
import pytest
import torchvision.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mlic.images import codec
from mlic.images.codec import Codec


def decode(payload, quality=None):
    return Codec(quality).decode(np.frombuffer(payload, dtype=np.uint8).copy())


@settings(max_examples=40)
@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_without_loss_every_pixel_comes_back(pixels):
    assert np.array_equal(decode(Codec().encode(pixels)), pixels)


@pytest.mark.parametrize("quality", [60, 95])
def test_jpeg_decodes_as_pillow_does(quality, tmp_path):
    ramp = np.linspace(0, 255, 32)
    pixels = np.stack([np.add.outer(ramp, ramp) / 2, *np.meshgrid(ramp, ramp)], 2).astype(np.uint8)
    (tmp_path / "a.jpg").write_bytes(Codec(quality).encode(pixels))
    found = decode(Codec(quality).encode(pixels), quality)
    assert np.array_equal(found, np.asarray(Image.open(tmp_path / "a.jpg")))
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("quality", [None, 90])
def test_where_torchvision_cannot_decode_pillow_does_and_the_log_says_so(
    monkeypatch, caplog, quality
):
    payload = Codec(quality).encode(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    expected = decode(payload, quality)

    def fail(_):
        raise RuntimeError("built without WebP\nmore")

    monkeypatch.setattr(torchvision.io, "decode_webp", fail)
    codec._decoders.cache_clear()
    assert np.array_equal(decode(payload, quality), expected)
    assert "built without WebP)" in caplog.text and "more" not in caplog.text
    codec._decoders.cache_clear()
