"""Memory of a process that reads random batches of a synthetic store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mlic.caching.memmap import create_memmap
from mlic.images.codec import Codec
from mlic.images.encoded_store import EncodedStore
from mlic.images.file_store import FileStore
from mlic.images.shards import ShardWriter
from mlic.images.store import ImageStore, digest_bytes

__all__ = ["memory_rows"]

SIDE, DISTINCT, BATCH, BATCHES = 32, 500, 256, 40


def memory_rows(sizes: list[int], folder: Path) -> list[dict[str, Any]]:
    """Stores of each size, one after the other, each read by a process of its own."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (DISTINCT, SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    squares = coarse.repeat(8, axis=1).repeat(8, axis=2)
    rows = []
    for kind, write in {"encoded": _encoded, "files": _files, "pixels": _pixels}.items():
        for number in sizes:
            path = folder / f"{kind}_{number}"
            path.mkdir(parents=True)
            write(path, squares, number)
            rows.append({"table": "memory", "name": kind, "images": number, **_measure(path)})
            for file in path.iterdir():
                file.unlink()
    return rows


def _measure(path: Path) -> dict[str, Any]:
    script = [sys.executable, str(Path(__file__).with_name("read_batches.py")), str(path)]
    done = subprocess.run([*script, str(BATCH), str(BATCHES)], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _index(
    kind: Any,
    own: list[tuple[Any, ...]],
    number: int,
    place: Any,
    folder: Path,
    **columns: str,
) -> None:
    """Write an index whose entries repeat, with ids of their own."""
    dtype = kind.dtype(np.empty(0, "U12"), **columns)
    about = {"size": SIDE, "fingerprint": "0" * 16, "place": place}
    with create_memmap(folder / f"{kind.kind}.npy", (number,), dtype, about) as index:
        index[:] = np.resize(np.asarray([(*one, 0, "") for one in own], dtype=dtype), number)
        index["id"] = np.char.mod("i%09d", np.arange(number))


def _encoded(path: Path, squares: Any, number: int) -> None:
    payloads = [Codec().encode(square) for square in squares]
    digests, own = [digest_bytes(payload) for payload in payloads], []
    with ShardWriter(path, "encoded-0") as shards:
        for row in range(number):  # every record is there: the disk holds what the index says
            which = row % DISTINCT
            shard, start = shards.append(payloads[which])
            own.append((digests[which], start, len(payloads[which]), shard))
    _index(EncodedStore, own, number, {"quality": None, "shards": shards.sizes}, path)


def _files(path: Path, squares: Any, number: int) -> None:
    own = []
    for row, square in enumerate(squares):
        content = Codec().encode(square)
        (path / f"{row}.webp").write_bytes(content)
        own.append((digest_bytes(content), len(content), f"{row}.webp".encode()))
    _index(FileStore, own, number, str(path), path, path="S12")


def _pixels(path: Path, squares: Any, number: int) -> None:
    about = {"ids": [f"i{i:09d}" for i in range(number)], "fingerprint": "0" * 16}
    shape = (number, SIDE, SIDE, 3)
    with create_memmap(path / "pixels.npy", shape, np.uint8, about) as pixels:
        for start in range(0, number, DISTINCT):
            pixels[start : start + DISTINCT] = squares[: len(pixels[start : start + DISTINCT])]
    assert len(ImageStore.open(path)) == number
