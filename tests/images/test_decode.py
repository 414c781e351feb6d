import io
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mlic.errors import DataError, MlicError
from mlic.images.decode import _MemoryBudget, decode_image, decode_sources


def encode(pixels, form="png", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


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
    reasons = decode_sources(sources, 8, out, workers)
    assert [reason is None for reason in reasons] == [True, False, True, False]
    np.testing.assert_array_equal(out[[0, 2]], [squares[0], squares[2]])
    assert not out[[1, 3]].any()


def test_bug_is_not_mistaken_for_an_unreadable_image():
    with pytest.raises(TypeError):
        decode_sources([encode(noise(8, 8))], 8, None)


@pytest.mark.parametrize("error", [TypeError, RuntimeError, KeyError, RecursionError])
def test_whatever_a_decoder_raises_is_a_reason_to_leave_an_image_out(monkeypatch, error):
    def fail(*_, **__):
        raise error("odd")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(DataError, match=f"{error.__name__}.*odd"):
        decode_image(b"", 8)


def test_lack_of_memory_is_no_reason_to_leave_an_image_out(monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MlicError, match="memory ran out") as caught:
        decode_image(b"", 8)
    assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize("name", ["EPS", "PPM", "TGA", "ICO", "PDF"])
def test_formats_that_are_not_named_are_not_opened(tmp_path, name):
    path = tmp_path / "image.jpg"
    Image.new("RGB", (16, 16)).save(path, name)
    with pytest.raises(DataError, match="formats JPEG, PNG, WEBP, BMP, GIF, TIFF"):
        decode_image(path, 8)


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_is_read_from_its_own_entry(orientation):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 3), dtype=np.uint8)
    short, text = 3, 2  # types of EXIF
    own = struct.pack("<HHIHH", 0x0112, short, 1, orientation, 0)
    resolution = struct.pack("<HHI4s", 0x011A, text, 4, b"odd\0")  # should be a ratio
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(with_exif(pixels, own))))
    expected = np.asarray(upright.resize((8, 8), Image.Resampling.BILINEAR))
    for entries in ([own], [own, resolution]):
        assert np.array_equal(decode_image(with_exif(pixels, *entries), 8), expected)


def with_exif(pixels, *entries):
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return encode(pixels, exif=b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory)


def test_threads_share_one_limit_of_memory():
    budget, inside, most = _MemoryBudget(100), [], []

    def use(number):
        with budget.reserve(number):
            inside.append(min(number, 100))
            most.append(sum(inside))
            time.sleep(0.002)
            inside.remove(min(number, 100))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [30, 60, 200, 10, 100, 50, 50, 50] * 5))
    assert max(most) <= 100 and len(most) == 40
