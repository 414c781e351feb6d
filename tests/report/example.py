"""An example of everything that a report is made from, and a parser for its page."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from mlic.labels import LabelSpace
from mlic.labels.partition import user_partition
from mlic.labels.partition.quality import partition_quality
from mlic.labels.statistics import count_labels
from mlic.report.page import Findings, render_report

NAMES = ("sea", "<b>R&D</b>", "cow", "field")
PIXEL = "data:image/jpeg;base64,AAAA"


class Page(HTMLParser):
    """Tables of a page by caption, and its tags; all tags must be closed in the right order."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.open, self.scripts = {}, [], [], []
        self.words = self.title = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data):
        within = self.open[-1] if self.open else ""
        if within in ("td", "th"):
            self.rows[-1][-1] += data
        if within == "caption":
            self.caption += data
        if within in ("p", "strong", "span", "footer"):
            self.words += data
        if within == "title":
            self.title += data
        if within == "script":
            self.scripts[-1] += data

    def table(self, caption):
        (found,) = [rows for name, rows in self.tables.items() if caption in name]
        return found

    def figures(self):
        """The figures that the page passes to Plotly."""
        kinds = [about.get("type") for tag, about in self.tags if tag == "script"]
        both = zip(kinds, self.scripts, strict=True)
        return [json.loads(text) for kind, text in both if kind == "application/json"]


def scores_of(precision):
    return {"mAP": precision, "CF1": precision - 4.5, "OF1": precision + 1.25}


def training_of(epochs=2, seconds=1.0, **more):
    return {
        "history": [{"loss": 0.5}] * epochs,
        "epoch": epochs,
        "averaged": True,
        "validation_map": 0.625,
        "seconds": seconds,
        **more,
    }


def summary_of(names=NAMES):
    quality = partition_quality(
        user_partition([names[:2], names[2:]], LabelSpace(tuple(names))),
        count_labels(np.eye(4, dtype=np.int8) + np.eye(4, dtype=np.int8)[::-1], LabelSpace(names)),
    )
    partition = {"parts": [list(names[:2]), list(names[2:])], "quality": quality}
    return {
        "data": {
            "images": {"train": 1200, "validation": 150, "test": 300},
            "quarantined": 2,
            "labels": 4,
            "labels_per_image": 2.5,
            "unknown_share": 0.0125,
        },
        "partitions": {"cgp": partition, "dgp": {**partition, "quality": quality | {"ncut": -0.5}}},
        "baseline": scores_of(60.0),
        "teachers": {
            "cgp": {**scores_of(62.0), "parts": [70.5, None]},
            "dgp": {**scores_of(61.0), "parts": [50.0, 55.5]},
        },
        "student": scores_of(63.456),
        "seconds": {
            "baseline": 100.0,
            "teachers": {"cgp": 250.0, "dgp": 260.0},
            "student": 150.0,
            "psd": 660.0,
            "total": 760.0,
        },
        "passes": {"baseline": 16, "psd": 136.0},
        "seed": 3,
        "git": "0123456789ab+changes",
        "version": "0.1.0",
        "versions": {"torch": "2.11"},
        "fingerprints": {"labels": "0123"},
    }


def entries_of(names=NAMES):
    """Arguments of `Findings`, as the catalog contains them."""
    counts = {"train": [60, 600, 0, 300], "validation": [6, 60, 0, 30], "test": [12, 120, 1, 0]}
    score = {"label": names[1], "mark": "✓", "predicted": True, "baseline": 12, "student": 88}
    return {
        "summary": summary_of(names),
        "parameters": {
            "evaluation": {"threshold": 0.5},
            "environment": "base",
            "model": {"backbone": "resnet10t", "weights": None, "head": "linear"},
            "partition": {"strategies": ["cgp", "dgp"], "num_parts": 2},
        },
        "trainings": {
            "baseline": training_of(),
            "teachers.cgp_0": training_of(3, 12.34),
            "student": training_of(2, 150.0, fingerprint="89ab"),
        },
        "label_counts": pd.DataFrame({"label": names, **counts, "unknown": [0, 9, 0, 0]}),
        "quarantine": pd.DataFrame({"id": ["<x>"], "source": ["a.jpg"], "reason": ["truncated"]}),
        "average_precision": pd.DataFrame(
            {
                "label": names,
                "positives": [12, 120, 1, 0],
                "baseline": [50.0, 60.0, 70.0, np.nan],
                "student": [49.0, 62.5, 69.999, np.nan],
            }
        ),
        "label_decisions": pd.DataFrame(
            {
                "label": names,
                "positives": [12, 120, 1, 0],
                "threshold": [0.25, 0.5, 0.1, 0.2],
                "precision": [50.0, 60.0, 0.0, np.nan],
                "recall": [60.0, 70.0, 0.0, np.nan],
                "F1": [54.5, 64.6, 0.0, np.nan],
                "F1_sigmoid": [40.0, 50.0, 0.0, np.nan],
            }
        ),
        "pair_errors": pd.DataFrame(
            {
                "first": [names[1]],
                "second": ["cow"],
                "together": [1200],
                "baseline_together": [7],
                "baseline_confused": [3],
                "student_together": [5],
                "student_confused": [2],
            }
        ),
        "label_issues": pd.DataFrame(
            {
                "id": ["<y>"],
                "split": ["test"],
                "label": [names[1]],
                "given": ["absent"],
                "suggested": ["present"],
                "probability": [97.26],
                "error_probability": [61.5],
            }
        ),
        "image_cards": {
            "examples": [{"id": "<p>", "source": PIXEL, "scores": [score]}],
            "issues": [{"id": "<y>", "source": PIXEL, "claim": f"“{names[1]}” is given"}],
        },
        "class_map_examples": [
            {
                "label": names[1],
                "images": [
                    {"source": PIXEL, "title": "baseline", "description": "Map of <baseline>"}
                ],
            }
        ],
    }


def render(names=NAMES, **changes):
    """The HTML text of the example with some entries replaced."""
    return render_report(Findings(**{**entries_of(names), **changes}))


def page_of(summary=None, **changes):
    """The parsed page of the example with some entries, or entries of its summary, replaced."""
    return Page(render(summary=summary_of() | (summary or {}), **changes))
