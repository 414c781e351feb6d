"""Tables of the report: scores, data, trainings, errors and provenance of a run."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from mlic.report.formatting import Table, number, percent
from mlic.report.names import list_models

__all__ = [
    "count_table",
    "data_table",
    "f1_table",
    "issue_table",
    "model_table",
    "pair_table",
    "parameter_table",
    "pointing_table",
    "precision_table",
    "provenance_table",
    "quarantine_table",
    "training_table",
]

SHOWN = 50  # rows of the page; the files contain all of them
COMPARED = ("baseline", "student")


def model_table(summary: Mapping[str, Any]) -> Table:
    """Tabulate the main scores and the training time of every model."""
    rows = [
        [model, *(number(scores.get(name)) for name in ("mAP", "CF1", "OF1")), number(time, 1)]
        for model, scores, time in list_models(summary)
    ]
    caption = f"All labels, {summary['data']['images']['test']:,} test images, in percent"
    return Table(caption, ("Model", "mAP", "CF1", "OF1", "Training, s"), rows)


def f1_table(summary: Mapping[str, Any]) -> Table:
    """Tabulate the other variants of F1 that papers report."""
    columns = {"macro_F1": "Macro F1", "CF1_top3": "CF1, top 3", "OF1_top3": "OF1, top 3"}
    rows = [
        [model, *(number(scores.get(name)) for name in columns)]
        for model, scores, _ in list_models(summary)
    ]
    caption = (
        "Other variants of F1: macro F1 is the mean of the labels’ F1 (some papers call it CF1); "
        "top 3 counts, of each image’s three highest probabilities, those of at least 0.5"
    )
    return Table(caption, ("Model", *columns.values()), rows, folded=True)


def data_table(data: Mapping[str, Any]) -> Table:
    """Tabulate the numbers of images and labels."""
    lines = {
        **{f"Images, {split}": f"{count:,}" for split, count in data["images"].items()},
        "Unreadable images": f"{data['quarantined']:,}",
        "Labels": f"{data['labels']:,}",
        "Labels per image, mean": number(data["labels_per_image"]),
        "Unknown label states": percent(100 * data["unknown_share"]),
    }
    return Table("Images and labels", ("Quantity", "Value"), [[*line] for line in lines.items()])


def count_table(label_counts: pd.DataFrame) -> Table:
    """Tabulate the images with each label by split, most frequent label first."""
    ordered = label_counts.sort_values("train", ascending=False, kind="stable")
    columns = ["label", "train", "validation", "test", "unknown"]
    rows = [
        [label, *(f"{count:,}" for count in counts)]
        for label, *counts in ordered[columns].itertuples(index=False)
    ]
    titles = ("Label", "Train", "Validation", "Test", "Unknown")
    return Table("Images with each label", titles, rows, folded=True)


def quarantine_table(quarantine: pd.DataFrame) -> Table | None:
    """Tabulate the images that could not be read, with the reason; None if all could."""
    columns = ("id", "source", "reason")
    rows = [[str(row[name]) for name in columns] for row in quarantine[:SHOWN].to_dict("records")]
    caption, titles = f"{_shown(quarantine)} unreadable images", ("Image", "Source", "Reason")
    return Table(caption, titles, rows, titles[1:]) if rows else None


def training_table(trainings: Mapping[str, Mapping[str, Any]]) -> Table:
    """Tabulate the trainings: their length, the selected epoch and the validation score."""
    rows = []
    for name, training in trainings.items():
        # Checkpoints have scores as fractions; there is none without a validation split.
        score, weights = training["validation_map"], "averaged" if training["averaged"] else "raw"
        rows.append(
            [
                name.removeprefix("teachers."),
                str(len(training["history"])),
                f"{training['epoch']}, {weights}",
                number(None if score is None else 100 * score),
                number(training["seconds"], 1),
            ]
        )
    columns = ("Training", "Epochs", "Selected epoch, weights", "Validation mAP", "Seconds")
    return Table("All trainings", columns, rows, folded=True)


def precision_table(average_precision: pd.DataFrame) -> Table:
    """Tabulate the average precision of every label, largest gain of the student first."""
    # NaN where a label has no positive in the test split: neither better nor worse.
    gain = average_precision["student"] - average_precision["baseline"]
    # A stable sort gives labels with the same gain the order of the class list.
    ordered = average_precision.assign(gain=gain).sort_values(
        "gain", ascending=False, kind="stable", na_position="last"
    )
    columns = ["label", "positives", "baseline", "student", "gain"]
    rows = [
        [label, f"{positives:,}", number(baseline), number(student), number(gained, sign="+")]
        for label, positives, baseline, student, gained in ordered[columns].itertuples(index=False)
    ]
    caption = (
        f"In percent on the test split: the student is better on {(gain > 0).sum()} labels, "
        f"worse on {(gain < 0).sum()}; –: no positive in the test split"
    )
    titles = ("Label", "Positives", "Baseline", "Student", "Difference")
    return Table(caption, titles, rows, folded=True)


def pair_table(pair_errors: pd.DataFrame) -> Table:
    """Tabulate the pairs of labels with the largest errors of both models."""
    columns = [f"{model}_{kind}" for kind in ("together", "confused") for model in COMPARED]
    rows = [
        [f"{row['first']}, {row['second']}", *(f"{row[c]:,}" for c in ["together", *columns])]
        for row in pair_errors[:SHOWN].to_dict("records")
    ]
    kinds = [f"{kind}, {model}" for kind in ("Both predicted", "Confused") for model in COMPARED]
    titles = ("Pair", "Both present", *kinds)
    caption = f"{_shown(pair_errors)} pairs by their largest error, in test images"
    return Table(caption, titles, rows, folded=True)


def issue_table(label_issues: pd.DataFrame) -> Table:
    """Tabulate the label states that are probably wrong, least probable first."""
    rows = [
        [row["id"], row["split"], row["label"], row["given"], number(row["probability"], 1)]
        for row in label_issues[:SHOWN].to_dict("records")
    ]
    columns = ("Image", "Split", "Label", "Annotated as", "Probability of the label, %")
    caption = f"{_shown(label_issues)} label states that are probably wrong"
    return Table(caption, columns, rows, ("Split", "Label", "Annotated as"), folded=True)


def _shown(table: pd.DataFrame) -> str:
    return f"{len(table):,}" if len(table) <= SHOWN else f"The first {SHOWN} of {len(table):,}"


def pointing_table(game: Mapping[str, Any] | None) -> Table | None:
    """Tabulate the hit rates of the pointing game; None if it was not played."""
    if game is None:
        return None
    rows = [[model, number(rate)] for model, rate, _ in list_models(game)]
    # The rate that a model without any evidence would reach, to compare the others with.
    rows.append(["Random position", number(game["chance"])])
    caption = f"Pointing game on {game['pairs']:,} labels of {game['images']:,} test images"
    return Table(caption, ("Model", "Hits, percent"), rows)


def provenance_table(summary: Mapping[str, Any]) -> Table:
    """Tabulate the versions of libraries and the fingerprints of data and models."""
    rows = [
        *([f"Version of {name}", version] for name, version in summary["versions"].items()),
        *([f"Fingerprint of {name}", value] for name, value in summary["fingerprints"].items()),
    ]
    return Table("Versions and fingerprints", ("Item", "Value"), rows, ("Value",))


def parameter_table(parameters: Mapping[str, Any]) -> Table:
    """Tabulate all parameters of the run by their dotted names."""
    rows = [[name, value] for name, value in _flatten(parameters)]
    return Table("Parameters", ("Parameter", "Value"), rows, ("Value",), folded=True)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        # An empty mapping is a value: it says that an option has no options of its own.
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "null" if value is None else str(value)
