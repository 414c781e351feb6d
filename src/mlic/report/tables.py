"""The report's tables: a run's figures as rows of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.report.blocks import Block, Note, Table, number, percent
from mlic.report.figures.style import MODELS, strategy_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

__all__ = [
    "count_table",
    "data_table",
    "f1_table",
    "issue_table",
    "model_blocks",
    "pair_table",
    "parameter_table",
    "pointing_blocks",
    "precision_table",
    "provenance_table",
    "quarantine_table",
    "training_table",
]

SHOWN = 50  # rows of tables whose files hold more
COMPARED = ("baseline", "student")


def model_blocks(summary: Mapping[str, Any]) -> list[Block]:
    """Main figures of every model, on all labels."""
    rows = [
        [model, *(number(figures.get(name)) for name in ("mAP", "CF1", "OF1")), number(time, 1)]
        for model, figures, time in _models(summary)
    ]
    shown = Table(
        f"All labels, {summary['data']['images']['test']:,} test images, in percent",
        ("Model", "mAP", "CF1", "OF1", "Seconds of training"),
        rows,
    )
    told = (
        "mAP: mean average precision over labels. CF1 and OF1: F1 by class and overall, at the "
        "probability threshold of the evaluation."
    )
    return [shown, Note(told), f1_table(summary)]


def _models(
    summary: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], float | None]]:
    """Title, figures and seconds of baselines, the teachers of each strategy, and student."""
    seconds = summary["seconds"]
    for name in ("baseline", "budget_matched_baseline"):
        if name in summary:
            yield MODELS[name], summary[name], seconds[name]
    for name, figures in summary["teachers"].items():
        title = f"Teachers together: {strategy_title(name)}"
        yield title, figures, seconds["teachers"].get(name)
    yield MODELS["student"], summary["student"], seconds["student"]


def f1_table(summary: Mapping[str, Any]) -> Table:
    """Every other F1 that papers print."""
    columns = {"macro_F1": "Macro F1", "CF1_top3": "CF1, top 3", "OF1_top3": "OF1, top 3"}
    rows = [
        [model, *(number(figures.get(name)) for name in columns)]
        for model, figures, _ in _models(summary)
    ]
    caption = (
        "F1 the other ways it is published: macro F1, the mean of the labels’ F1, which some "
        "papers call CF1; top 3, of each image’s three highest probabilities those of at "
        "least 0.5"
    )
    return Table(caption, ("Model", *columns.values()), rows, folded=True)


def data_table(data: Mapping[str, Any]) -> Table:
    """Images and labels, in numbers."""
    lines = {
        **{f"Images, {split}": f"{count:,}" for split, count in data["images"].items()},
        "Images quarantined (unreadable)": f"{data['quarantined']:,}",
        "Labels": f"{data['labels']:,}",
        "Labels an image, on average": number(data["labels_per_image"]),
        "Label states unknown": percent(100 * data["unknown_share"]),
    }
    return Table("Images and labels", ("What", "How many"), [[*line] for line in lines.items()])


def count_table(label_counts: pd.DataFrame) -> Table:
    """Images with each label, by split, the most frequent first."""
    ordered = label_counts.sort_values("train", ascending=False, kind="stable")
    columns = ["label", "train", "validation", "test", "unknown"]
    rows = [
        [label, *(f"{count:,}" for count in counts)]
        for label, *counts in ordered[columns].itertuples(index=False)
    ]
    titles = ("Label", "Train", "Validation", "Test", "Unknown")
    return Table("Images with each label", titles, rows, folded=True)


def quarantine_table(quarantine: pd.DataFrame) -> Table:
    """Images that could not be read, with the reason of each."""
    columns = ("id", "source", "reason")
    rows = [[str(row[name]) for name in columns] for row in quarantine[:SHOWN].to_dict("records")]
    caption = f"{_first(quarantine)} quarantined images"
    return Table(caption, ("Image", "Source", "Reason"), rows, ("Source", "Reason"))


def training_table(trainings: Mapping[str, Mapping[str, Any]]) -> Table:
    """What was trained, for how long, and which epoch was kept."""
    rows = [
        [
            name.removeprefix("teachers."),
            str(len(training["history"])),
            f"{training['epoch']}, {'averaged' if training['averaged'] else 'raw'}",
            number(_percent(training["validation_map"])),
            number(training["seconds"], 1),
        ]
        for name, training in trainings.items()
    ]
    columns = ("Training", "Epochs", "Kept: epoch, weights", "Validation mAP", "Seconds")
    return Table("What was trained, and for how long", columns, rows, folded=True)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def precision_table(average_precision: pd.DataFrame) -> Table:
    """Average precision of every label, the student's largest gain first."""
    gain = average_precision["student"] - average_precision["baseline"]
    ordered = average_precision.assign(gain=gain).sort_values(
        "gain", ascending=False, kind="stable", na_position="last"
    )
    columns = ["label", "positives", "baseline", "student", "gain"]
    rows = [
        [label, f"{positives:,}", number(baseline), number(student), number(gained, sign="+")]
        for label, positives, baseline, student, gained in ordered[columns].itertuples(index=False)
    ]
    caption = (
        f"In percent on the test split: the student is ahead on {(gain > 0).sum()} labels, "
        f"behind on {(gain < 0).sum()}; –: no positive in the test split"
    )
    titles = ("Label", "Positives", "Baseline", "Student", "Difference")
    return Table(caption, titles, rows, folded=True)


def pair_table(pair_errors: pd.DataFrame) -> Table:
    """Pairs of labels and both models' errors in them, the worst first."""
    columns = [f"{model}_{kind}" for kind in ("together", "confused") for model in COMPARED]
    rows = [
        [f"{row['first']}, {row['second']}", *(f"{row[c]:,}" for c in ["together", *columns])]
        for row in pair_errors[:SHOWN].to_dict("records")
    ]
    titles = (
        "Pair",
        "Together in truth",
        *(f"Claimed together, {model}" for model in COMPARED),
        *(f"Confused, {model}" for model in COMPARED),
    )
    caption = f"{_first(pair_errors)} pairs by their largest error, in test images"
    return Table(caption, titles, rows, folded=True)


def issue_table(label_issues: pd.DataFrame) -> Table:
    """States that the student contradicts, the least probable first."""
    rows = [
        [row["id"], row["split"], row["label"], row["given"], number(row["probability"], 1)]
        for row in label_issues[:SHOWN].to_dict("records")
    ]
    columns = ("Image", "Split", "Label", "Given as", "Probability of the label, %")
    caption = f"{_first(label_issues)} label states that are likely wrong"
    return Table(caption, columns, rows, ("Split", "Label", "Given as"), folded=True)


def _first(table: pd.DataFrame) -> str:
    return f"{len(table):,}" if len(table) <= SHOWN else f"The first {SHOWN} of {len(table):,}"


def pointing_blocks(game: Mapping[str, Any]) -> list[Block]:
    """How often maps point at the thing, beside chance."""
    scores = {
        **{
            MODELS[name]: game[name]
            for name in ("baseline", "budget_matched_baseline")
            if name in game
        },
        **{f"Teachers: {strategy_title(name)}": score for name, score in game["teachers"].items()},
        MODELS["student"]: game.get("student"),
        "A place drawn at random": game["chance"],
    }
    shown = Table(
        f"Pointing game on {game['pairs']:,} labels of {game['images']:,} test images",
        ("Model", "Hits, percent"),
        [[model, number(score)] for model, score in scores.items()],
    )
    told = (
        "A map hits if the middle of its strongest cell lies on a thing of the label, or within "
        f"{game['tolerance_pixels']} px of one. The mean over labels of each label's share of "
        "hits. Where noise put a label on an image without its thing there is nothing to point "
        "at: such pairs are left out."
    )
    return [shown, Note(told)]


def provenance_table(summary: Mapping[str, Any]) -> Table:
    """Versions of libraries, and fingerprints of what the models were made from."""
    rows = [
        *([f"version of {name}", version] for name, version in summary["versions"].items()),
        *([f"fingerprint of {name}", print_] for name, print_ in summary["fingerprints"].items()),
    ]
    return Table("Versions and fingerprints", ("What", "Which"), rows, ("Which",))


def parameter_table(parameters: Mapping[str, Any]) -> Table:
    """All parameters of the run, by their dotted names."""
    rows = [[name, value] for name, value in _flatten(parameters)]
    return Table("Parameters", ("Parameter", "Value"), rows, ("Value",), folded=True)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "null" if value is None else str(value)
