import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlic.errors import DataError
from mlic.images.decode import decode_image, decode_images
from mlic.images.records import ImageRecords
from mlic.labels import LabelMatrix, LabelSpace


def encode(pixels, form="png", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def raw_of(sources):
    n = len(sources)
    states = np.ones((n, 1), dtype=np.int8)
    ids = [f"p{i}" for i in range(n)]
    return ImageRecords(LabelMatrix(LabelSpace(("cat",)), ids, states, [""] * n), sources)


def test_lossless_square_of_the_right_size_is_unchanged():
    pixels = noise(16, 16)
    np.testing.assert_array_equal(decode_image(encode(pixels), 16), pixels)


def test_path_and_bytes_give_the_same(tmp_path):
    data = encode(noise(20, 30), "jpeg")
    file = tmp_path / "a.jpg"
    file.write_bytes(data)
    np.testing.assert_array_equal(decode_image(file, 16), decode_image(data, 16))


def test_resizing_is_antialiased():
    """A one-pixel checkerboard shrunk eightfold is grey, not black or white."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = decode_image(encode(np.repeat(board[..., None], 3, axis=2)), 8)
    assert np.abs(small.astype(int) - 127).max() < 10


def test_exif_orientation_turns_the_image():
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:, :8] = 255  # bright left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise for display: left goes up
    turned = decode_image(encode(pixels, exif=exif), 16)
    np.testing.assert_array_equal(turned, np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_8_bit_mode_becomes_rgb(mode):
    buffer = io.BytesIO()
    Image.fromarray(noise(8, 8)).convert(mode).save(buffer, "tiff")
    assert decode_image(buffer.getvalue(), 8).shape == (8, 8, 3)


def test_images_of_more_than_8_bits_are_refused():
    deep = encode(np.full((8, 8), 40_000, dtype=np.uint16))
    with pytest.raises(DataError) as caught:
        decode_image(deep, 8)
    assert caught.value.fields["found"].startswith("I")


def test_truncated_jpeg_is_refused():
    data = encode(noise(64, 64), "jpeg")
    with pytest.raises(DataError):
        decode_image(data[: len(data) // 2], 16)


def test_missing_file_and_other_bytes_are_refused():
    with pytest.raises(DataError):
        decode_image(Path("no/such.jpg"), 8)
    with pytest.raises(DataError):
        decode_image(b"", 8)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_000, 40_000])
def test_decompression_bomb_is_refused_before_it_is_decoded(side):
    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(DataError):
        decode_image(bomb, 8)


@settings(max_examples=60)
@given(st.data())
def test_damaged_file_is_either_decoded_or_refused(data):
    """Any bytes changed, in three formats."""
    form = data.draw(st.sampled_from(["jpeg", "png", "gif"]))
    damaged = bytearray(encode(noise(24, 24), form))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode_image(bytes(damaged), 8).shape == (8, 8, 3)
    except DataError as error:
        assert str(error)


@pytest.mark.parametrize("workers", [1, 4])
def test_unreadable_images_are_listed_and_all_others_decoded(workers):
    squares = [noise(8, 8, seed) for seed in range(4)]
    sources = [encode(squares[0]), b"bad", encode(squares[2]), b"worse"]
    out = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    unreadable = decode_images(raw_of(sources), 8, out, workers)
    assert [name for name, _ in unreadable] == ["p1", "p3"]
    np.testing.assert_array_equal(out[[0, 2]], [squares[0], squares[2]])
    assert not out[[1, 3]].any()


def test_bug_is_not_mistaken_for_an_unreadable_image():
    with pytest.raises(TypeError):
        decode_images(raw_of([123]), 8, np.zeros((1, 8, 8, 3), dtype=np.uint8))
