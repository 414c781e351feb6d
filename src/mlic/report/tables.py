"""Tables of the report: scores, data, trainings, errors and provenance of a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from mlic.report.formatting import Table, digits_of, number, percent
from mlic.report.names import MODELS, list_models

__all__ = [
    "calibration_table",
    "count_table",
    "data_table",
    "decision_table",
    "f1_table",
    "head_graph_table",
    "intervention_table",
    "issue_table",
    "known_label_table",
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
    """Tabulate the main scores and the training time of every model.

    The F1 scores are those at 0.5 on the plain sigmoid and, for calibrated models, those at their
    thresholds; mAP has its bootstrap interval.
    """
    num_test = summary["data"]["images"]["test"]
    digits, rows = digits_of(num_test), []
    titles = {title: name for name, title in MODELS.items()}
    for title, scores, time in list_models(summary):
        name = titles.get(title, "")
        own, bounds = (summary.get(k, {}).get(name, {}) for k in ("calibrated", "intervals"))
        cells = [
            number(scores.get("mAP"), digits),
            _range(bounds.get("mAP"), digits),
            *(number(scores.get(score), digits) for score in ("CF1", "OF1")),
            *(number(own.get(score), digits) for score in ("CF1", "OF1", "exact_match")),
            number(time, 1),
        ]
        rows.append([title, *cells])
    columns = (
        *("Model", "mAP", "95 % interval", "CF1 at 0.5", "OF1 at 0.5"),
        *("CF1", "OF1", "Exact match", "Training, s"),
    )
    return Table(f"All labels, {num_test:,} test images, in percent", columns, rows)


def _range(bounds: Sequence[float] | None, digits: int) -> str:
    return f"{number(bounds[0], digits)} to {number(bounds[1], digits)}" if bounds else "–"


def calibration_table(summary: Mapping[str, Any]) -> Table | None:
    """Tabulate calibration and decisions of each model, before and after; None without any."""
    digits, rows = digits_of(summary["data"]["images"]["test"]), []
    for name, title in MODELS.items():
        for kind, label in (("sigmoid", "sigmoid, 0.5"), ("calibrated", "calibrated")):
            if own := summary.get(kind, {}).get(name):
                errors = [number(own.get(n), 3) for n in ("ECE", "log_loss", "brier")]
                scores = [number(own.get(n), digits) for n in ("CF1", "OF1", "macro_F1")]
                claimed = number(own.get("predicted_labels"), 1)
                rows.append([title, label, *errors, *scores, claimed])
    if not rows:
        return None
    present = summary["calibrated"]["student"]["present_labels"]
    caption = f"Before and after calibration; {number(present, 1)} labels are present in an image"
    columns = (
        *("Model", "Probabilities", "ECE", "Log-loss", "Brier score", "CF1", "OF1", "Macro F1"),
        "Predicted labels",
    )
    return Table(caption, columns, rows, ("Probabilities",))


def decision_table(label_decisions: pd.DataFrame) -> Table:
    """Tabulate the student's threshold, precision, recall and F1 of every label."""
    columns = ["label", "positives", "threshold", "precision", "recall", "F1", "F1_sigmoid"]
    rows = [
        [label, f"{positives:,}", number(threshold, 3), *(number(value, 1) for value in scores)]
        for label, positives, threshold, *scores in label_decisions[columns].itertuples(index=False)
    ]
    titles = (
        *("Label", "Test images", "Threshold", "Precision", "Recall", "F1"),
        "F1 at 0.5 on the sigmoid",
    )
    caption = "Decisions of the student for every label, in percent on the test split"
    return Table(caption, titles, rows, folded=True)


def f1_table(summary: Mapping[str, Any]) -> Table:
    """Tabulate the other variants of F1 that papers report."""
    digits = digits_of(summary["data"]["images"]["test"])
    columns = {"macro_F1": "Macro F1", "CF1_top3": "CF1, top 3", "OF1_top3": "OF1, top 3"}
    rows = [
        [model, *(number(scores.get(name), digits) for name in columns)]
        for model, scores, _ in list_models(summary)
    ]
    caption = (
        "Other variants of F1 at 0.5 on the sigmoid: macro F1 is the mean of the labels’ F1 (some "
        "papers call it CF1); top 3 counts, of each image’s three highest probabilities, those of "
        "at least 0.5"
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
    """Tabulate the label states to check, the most probable errors first."""
    rows = [
        [
            *(row[name] for name in ("id", "split", "label", "given")),
            *(number(row[name], 1) for name in ("probability", "error_probability")),
        ]
        for row in label_issues[:SHOWN].to_dict("records")
    ]
    titles = ("Image", "Split", "Label", "Annotated as")
    columns = (*titles, "Probability of the label, %", "Probability of an error, %")
    caption = f"{_shown(label_issues)} label states to check; label_issues.csv has all of them"
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


def known_label_table(known: Mapping[str, Any], summary: Mapping[str, Any]) -> Table | None:
    """Tabulate the mAP of every model by the share of the labels that is known."""
    if not (scores := known.get("scores")):
        return None
    digits = digits_of(summary["data"]["images"]["test"])
    levels = list(next(iter(scores.values())))
    rows = [
        [MODELS.get(name, name), *(number(own[level], digits) for level in levels)]
        for name, own in scores.items()
    ]
    columns = ("Model", *(f"{level} % known" for level in levels))
    return Table("mAP on the same quarter of the cells, in percent", columns, rows)


def intervention_table(known: Mapping[str, Any]) -> Table | None:
    """Tabulate what changes if one label is said to be present."""
    rows = [
        [row["label"], *(_changes(row[direction]) for direction in ("rises", "falls"))]
        for row in known.get("interventions", [])
    ]
    columns = ("Said to be present", "Becomes more probable", "Becomes less probable")
    caption = "Mean change of the student’s probabilities, in percentage points"
    return Table(caption, columns, rows, columns[1:]) if rows else None


def _changes(pairs: Sequence[Sequence[Any]]) -> str:
    return ", ".join(f"{name} {number(change, 1, sign='+')}" for name, change in pairs) or "–"


def head_graph_table(trainings: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """Tabulate the label graph of the student's head; None if it has none."""
    graph = trainings["student"].get("label_graph")
    if graph is None:
        return None
    alone = sum(not others for others in graph.values())
    columns = ("Label", "Receives from")
    rows = [[label, ", ".join(others) or "–"] for label, others in graph.items()]
    caption = f"Label graph of the head: {alone} of {len(graph)} labels have no neighbour"
    return Table(caption, columns, rows, columns[1:], folded=True)


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
