"""Prediction of any number of images in bounded memory, which continues where it stopped."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from mlic.caching.atomic import atomic_write
from mlic.caching.blocks import digest_tree
from mlic.caching.fingerprint import fingerprint_file, fingerprint_parts
from mlic.images.thumbnails import encode_image, resize_image
from mlic.inference.decoding import decode_batches
from mlic.inference.known import KnownTable, require_use
from mlic.inference.listing import ImageList
from mlic.inference.model import TrainedModel
from mlic.inference.table import tabulate_predictions
from mlic.utils.progress import progress
from mlic.utils.spreadsheets import neutralise

log = logging.getLogger(__name__)

__all__ = ["CHUNK", "predict_to_files"]

CHUNK = 1024  # images that are kept together, and lost if the process is stopped
SHOWN = 48  # most doubtful images, which a page shows
TOP = 6  # labels of such an image
TABLES = ("predictions.parquet", "predictions.csv", "quarantine.csv")


@dataclass
class _Chunk:
    """Results of up to `CHUNK` images."""

    names: list[str] = field(default_factory=list)
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    decided: list[NDArray[np.bool_]] = field(default_factory=list)
    quarantine: list[dict[str, str]] = field(default_factory=list)
    doubtful: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Predictor:
    """What predicts: a model, and what is known of the images."""

    model: TrainedModel
    known: KnownTable | None

    def predict(
        self, names: Sequence[str], pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Compute probabilities and decisions of decoded images; shape (n, C) each."""
        model = self.model
        space = model.checkpoint.space
        states = None if self.known is None else self.known.rows(names, space)
        found = model.calibration.probabilities(model.compute_logits(pixels, states), states)
        return found, model.calibration.decide(found, states)


def predict_to_files(
    model: TrainedModel,
    images: ImageList,
    folder: Path,
    batch_size: int = 32,
    known: KnownTable | None = None,
) -> dict[str, Any]:
    """Predict images into ``predictions.parquet`` and ``.csv`` and ``quarantine.csv`` of a folder.

    Finished chunks are kept in the folder while it lasts. A call with the same model and the same
    images continues after them; when nothing has changed since the last call, nothing is computed.

    Parameters
    ----------
    model
        The trained model.
    images
        The images to predict.
    folder
        Folder of the results, which are replaced.
    batch_size
        Images in a forward pass.
    known
        Labels of some of the images that are known already.

    Returns
    -------
    dict
        What a page shows: ``model``, ``images``, ``quarantined``, ``labels`` (the number of images
        for which each is predicted), and ``doubtful``: the images with the most expected errors.

    Raises
    ------
    DataError
        If there is no image, the folder cannot be written, or a row of the known labels does not
        fit exactly one image.
    LabelError, ParameterError
        If a known label is none of the model, or the model has no use for known labels.
    """
    number, state = images.scan()
    if known is not None:
        require_use(model.checkpoint)
        known.require_fit((name for name, _ in images.read()), model.checkpoint.space)
    hints = "" if known is None else known.fingerprint
    origin = fingerprint_parts(
        model.checkpoint.fingerprint, model.calibration.model_dump_json(), state, hints
    )
    summary = folder / "summary.json"
    finished = _read(summary)
    if finished.get("made_from") == origin and finished["files"] == _fingerprints(folder):
        return finished
    parts = folder / f"parts_{origin}"
    # Parts of other images or of another model would never be finished.
    for other in folder.glob("parts_*"):
        if other != parts:
            shutil.rmtree(other)
    chunks = _finished_chunks(parts)
    done = len(chunks)
    best = _most_doubtful([one for notes in chunks for one in notes["doubtful"]])
    predictor = _Predictor(model, known)
    with progress(what="predicting", unit="image", total=number, initial=done * CHUNK) as bar:
        for position, chunk in enumerate(_chunks(predictor, images, done, batch_size, best), done):
            _write_chunk(model, chunk, parts / f"{position:07}")
            bar.update(len(chunk.names) + len(chunk.quarantine))
    found = _merge(model, parts, folder) | {"images": number, "made_from": origin}
    found["files"] = _fingerprints(folder)
    _write_json(summary, found)
    shutil.rmtree(parts)
    log.info("%d images: predictions.csv and predictions.parquet lie in %s", number, folder)
    return found


def _chunks(
    predictor: _Predictor, images: ImageList, done: int, batch_size: int, best: list[dict[str, Any]]
) -> Iterator[_Chunk]:
    """Predict the images after those of the chunks that are done."""
    names: list[str] = []

    def sources() -> Iterator[Any]:
        for name, source in islice(images.read(), done * CHUNK, None):
            names.append(name)
            yield source

    chunk, size = _Chunk(), predictor.model.checkpoint.decoded_size
    # Batches must not cross the border of two chunks.
    steps = max(CHUNK // batch_size, 1)
    for step, (pixels, reasons) in enumerate(
        decode_batches(sources(), size, min(batch_size, CHUNK)), 1
    ):
        batch, names[:] = names[: len(pixels)], names[len(pixels) :]
        _add_batch(predictor, chunk, batch, pixels, reasons, best)
        if step % steps == 0:
            yield chunk
            chunk = _Chunk()
    if chunk.names or chunk.quarantine:
        yield chunk


def _add_batch(
    predictor: _Predictor,
    chunk: _Chunk,
    names: Sequence[str],
    pixels: NDArray[np.uint8],
    reasons: Sequence[str | None],
    best: list[dict[str, Any]],
) -> None:
    """Predict one decoded batch, and note which of its images are among the most doubtful."""
    readable = [row for row, reason in enumerate(reasons) if reason is None]
    chunk.quarantine += [
        {"image": name, "reason": reason}
        for name, reason in zip(names, reasons, strict=True)
        if reason is not None
    ]
    if not readable:
        return
    readable_names = [names[row] for row in readable]
    probabilities, decided = predictor.predict(readable_names, pixels[readable])
    chunk.names += readable_names
    chunk.probabilities.append(probabilities)
    chunk.decided.append(decided)
    errors = np.where(decided, 1 - probabilities, probabilities).sum(axis=1)
    least = best[-1]["expected_errors"] if len(best) == SHOWN else -1.0
    for place in np.flatnonzero(errors > least).tolist():
        row = readable[place]
        shown = _show(
            predictor.model, names[row], pixels[row], probabilities[place], decided[place]
        )
        shown["expected_errors"] = float(errors[place])
        best.append(shown)
        chunk.doubtful.append(shown)
    best[:] = _most_doubtful(best)
    # By identity: a list may name one image several times.
    kept = set(map(id, best))
    chunk.doubtful = [one for one in chunk.doubtful if id(one) in kept]


def _show(
    model: TrainedModel,
    name: str,
    pixels: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    decided: NDArray[np.bool_],
) -> dict[str, Any]:
    """Describe one image for a page, with its predicted labels and the most probable others."""
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    scores = [
        {
            "label": model.labels[column],
            "probability": float(probabilities[column]),
            "predicted": bool(decided[column]),
        }
        for column in order.tolist()
    ]
    return {"image": name, "source": encode_image(resize_image(pixels)), "scores": scores}


def _most_doubtful(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the images with the most expected errors, the first of them in front."""
    return sorted(images, key=lambda one: (-one["expected_errors"], one["image"]))[:SHOWN]


def _write_chunk(model: TrainedModel, chunk: _Chunk, path: Path) -> None:
    """Write predictions, then what else is known of a chunk: a chunk with both files is done."""
    empty = np.empty((0, len(model.labels)), np.float32)
    probabilities = np.concatenate([empty, *chunk.probabilities])
    decided = np.concatenate([empty.astype(bool), *chunk.decided])
    table = tabulate_predictions(chunk.names, probabilities, decided, model.labels)
    with atomic_write(path.with_suffix(".parquet")) as partial:
        columns = {name: table[name] for name in table.columns}
        columns |= {name: pa.array(table[name], pa.string()) for name in ("image", "predicted")}
        pq.write_table(pa.table(columns), partial)
    counts = decided.sum(axis=0).tolist()
    notes = {"quarantine": chunk.quarantine, "doubtful": chunk.doubtful, "counts": counts}
    notes["table"] = fingerprint_file(path.with_suffix(".parquet"))
    _write_json(path.with_suffix(".json"), notes)


def _finished_chunks(parts: Path) -> list[dict[str, Any]]:
    """Read what was noted of the first chunks; the first that is damaged ends the list."""
    found: list[dict[str, Any]] = []
    for number, path in enumerate(sorted(parts.glob("*.json"))):
        notes = _read(path)
        table = path.with_suffix(".parquet")
        if path.stem != f"{number:07}" or not notes or notes["table"] != fingerprint_file(table):
            log.warning("%s is damaged: predictions continue before it", path)
            break
        found.append(notes)
    # What comes after it would be counted as done.
    for path in parts.glob("*.json"):
        if int(path.stem) >= len(found):
            path.unlink()
    return found


def _fingerprints(folder: Path) -> dict[str, str | None]:
    """Fingerprints of the final tables."""
    return {name: fingerprint_file(folder / name) for name in TABLES}


def _merge(model: TrainedModel, parts: Path, folder: Path) -> dict[str, Any]:
    """Join the chunks to the final tables, one at a time, and return the summary."""
    notes = [_read(path) for path in sorted(parts.glob("*.json"))]
    tables = sorted(parts.glob("*.parquet"))
    schema = pq.read_schema(tables[0])
    with ExitStack() as stack:
        whole, text = (
            stack.enter_context(atomic_write(folder / f"predictions.{kind}"))
            for kind in ("parquet", "csv")
        )
        writers = [pq.ParquetWriter(whole, schema), arrow_csv.CSVWriter(text, schema)]
        for path in tables:
            table = pq.read_table(path)
            writers[0].write_table(table)
            writers[1].write_table(_for_people(table))
        for writer in writers:
            writer.close()
    quarantine = [row for one in notes for row in one["quarantine"]]
    with atomic_write(folder / "quarantine.csv") as partial:
        listed = {key: [row[key] for row in quarantine] for key in ("image", "reason")}
        columns = {key: pa.array(texts, pa.string()) for key, texts in listed.items()}
        arrow_csv.write_csv(_for_people(pa.table(columns)), partial)
    counts = np.sum([one["counts"] for one in notes], axis=0).tolist()
    return {
        "model": model.checkpoint.info.name,
        "fingerprint": model.checkpoint.fingerprint,
        "quarantined": len(quarantine),
        "labels": dict(zip(model.labels, counts, strict=True)),
        "doubtful": _most_doubtful([row for one in notes for row in one["doubtful"]]),
    }


def _for_people(table: pa.Table) -> pa.Table:
    """Copy a table with texts that no spreadsheet runs as a formula."""
    for column, field_ in enumerate(table.schema):
        if pa.types.is_string(field_.type):
            texts = pa.array([neutralise(text) for text in table[column].to_pylist()], pa.string())
            table = table.set_column(column, field_, texts)
    return table


def _read(path: Path) -> dict[str, Any]:
    """Read what `_write_json` wrote; nothing if it is absent or damaged."""
    try:
        signed = json.loads(path.read_text(encoding="utf-8"))
        content = dict(signed["content"])
        return content if signed["digest"] == digest_tree(content) else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    signed = {"digest": digest_tree(content), "content": content}
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(signed, ensure_ascii=False), encoding="utf-8")
