"""The same encoded images kept by mlic and by other libraries, read by row and damaged."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from trainings import cpu_seconds

from mlic.images.codec import Codec
from mlic.images.ingest import write_store
from mlic.images.records import ImageRecords
from mlic.labels import LabelMatrix, LabelSpace

__all__ = ["BITS", "NUM_BITS", "format_rows"]

NUM_BITS = 40
BITS = f"silent of {NUM_BITS} changed bits"  # name of a column

Reader = Callable[[list[int]], list[NDArray[np.uint8]]]


class Format(NamedTuple):
    """Writes encoded images to a folder, and opens it."""

    write: Callable[[Path, list[bytes]], None]
    open: Callable[[Path], Reader]


def format_rows(squares: NDArray[np.uint8], folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Every format that is installed: size, rate of random reads, and what damage does."""
    payloads = [Codec().encode(square) for square in squares]
    order = np.random.default_rng(0).permutation(len(payloads)).tolist()
    rows = []
    for name, form in _formats().items():
        path = folder / name
        path.mkdir(parents=True)
        form.write(path, payloads)
        read = form.open(path)
        right = all(np.array_equal(a, squares[i]) for a, i in zip(read(order), order, strict=True))
        taken = [cpu_seconds(lambda read=read: read(order))[1] for _ in range(repeats)]
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        rows.append({"table": "formats", "name": name, "KB an image": size / len(order) / 1000,
                     "read/s a core": len(order) / statistics.median(taken), "same pixels": right,
                     BITS: _count_silent(path, form, squares)})  # fmt: skip
    return rows


def _count_silent(path: Path, form: Format, squares: NDArray[np.uint8]) -> int:
    """Of some bits of the largest file, changed one by one: those that change pixels silently."""
    largest = max((f for f in path.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    whole, silent = largest.read_bytes(), 0
    for place in np.linspace(0, len(whole) - 1, NUM_BITS).astype(int).tolist():
        changed = bytearray(whole)
        changed[place] ^= 4
        largest.write_bytes(changed)
        try:
            found = form.open(path)(list(range(len(squares))))
        except Exception:  # noqa: S112  noticed, whatever the kind of error
            continue
        silent += not all(np.array_equal(a, b) for a, b in zip(found, squares, strict=True))
    largest.write_bytes(whole)
    return silent


def _decode(payload: bytes) -> NDArray[np.uint8]:
    return Codec().decode(np.frombuffer(payload, dtype=np.uint8).copy())


def _formats() -> dict[str, Format]:
    found = {"mlic": Format(_write_mlic, _open_mlic)}
    peers = {
        "litdata": Format(_write_litdata, _open_litdata),
        "webdataset": Format(_write_webdataset, _open_webdataset),
        "datasets": Format(_write_datasets, _open_datasets),
    }
    return found | {name: form for name, form in peers.items() if find_spec(name)}


def _write_mlic(path: Path, payloads: list[bytes]) -> None:
    ids = [f"{i:06d}" for i in range(len(payloads))]
    states = np.ones((len(ids), 1), np.int8)
    labels = LabelMatrix(LabelSpace(("any",)), ids, states, [""] * len(ids))
    write_store(path, ImageRecords(labels, payloads), _decode(payloads[0]).shape[0], "encoded")


def _open_mlic(path: Path) -> Reader:
    from mlic.images.store import ImageStore

    store = ImageStore.open(path)
    return lambda rows: list(store.read(np.asarray(rows)))


def _write_litdata(path: Path, payloads: list[bytes]) -> None:
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(cache_dir=str(path), chunk_bytes=2**26)
    for number, payload in enumerate(payloads):
        writer[number] = {"image": payload}
    writer.done()
    writer.merge()


def _open_litdata(path: Path) -> Reader:
    from litdata import StreamingDataset

    dataset = StreamingDataset(str(path))
    return lambda rows: [_decode(dataset[row]["image"]) for row in rows]


def _write_webdataset(path: Path, payloads: list[bytes]) -> None:
    import webdataset

    with webdataset.ShardWriter(str(path / "%05d.tar"), verbose=0) as shards:
        for number, payload in enumerate(payloads):
            shards.write({"__key__": f"{number:06d}", "webp": payload})


def _open_webdataset(path: Path) -> Reader:
    import webdataset

    files = sorted(map(str, path.glob("*.tar")))

    def read(rows: list[int]) -> list[NDArray[np.uint8]]:
        # A tar file has no index: all of it is read, in its own order.
        samples = webdataset.WebDataset(files, shardshuffle=False)
        images = [_decode(sample["webp"]) for sample in samples]
        return [images[row] for row in rows]

    return read


def _write_datasets(path: Path, payloads: list[bytes]) -> None:
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Value("large_binary")})
    datasets.Dataset.from_dict({"image": payloads}, features=features).save_to_disk(path)


def _open_datasets(path: Path) -> Reader:
    import datasets

    dataset = datasets.load_from_disk(str(path))
    return lambda rows: [_decode(dataset[row]["image"]) for row in rows]
