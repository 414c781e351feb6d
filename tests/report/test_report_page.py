"""The page, read as a browser's parser reads it."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.config.parameters import EvaluationOptions
from mlic.errors import LabelError
from mlic.labels import LabelSpace
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.labels.partition.quality import partition_quality
from mlic.labels.statistics import count_labels
from mlic.pipelines.reporting.nodes import write_report

NAMES = ("sea", "<b>R&D</b>", "cow", "field")
PIXEL = "data:image/jpeg;base64,AAAA"


class Page(HTMLParser):
    """Tables of a page by caption, its tags, and whether all are closed in their order."""

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
        """What the page gives to plotly."""
        kinds = [about.get("type") for tag, about in self.tags if tag == "script"]
        both = zip(kinds, self.scripts, strict=True)
        return [json.loads(text) for kind, text in both if kind == "application/json"]


def figures_of(precision):
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
        "baseline": figures_of(60.0),
        "teachers": {
            "cgp": {**figures_of(62.0), "parts": [70.5, None]},
            "dgp": {**figures_of(61.0), "parts": [50.0, 55.5]},
        },
        "student": figures_of(63.456),
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
    """Everything that the page is made from, as the catalog gives it."""
    counts = {"train": [60, 600, 0, 300], "validation": [6, 60, 0, 30], "test": [12, 120, 1, 0]}
    score = {"label": names[1], "mark": "✓", "baseline": 12, "student": 88}
    return {
        "summary": summary_of(names),
        "parameters": {
            "evaluation": EvaluationOptions(),
            "model": {"backbone": "resnet10t", "weights": None},
            "partition": PartitionOptions(num_parts=2, strategies="cgp+dgp"),
        },
        "trainings": {"baseline": training_of(), "teachers.cgp_0": training_of(3, 12.34)},
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
                "probability": [97.26],
                "self_confidence": [2.74],
            }
        ),
        "image_cards": {
            "examples": [{"id": "<p>", "source": PIXEL, "scores": [score]}],
            "issues": [{"id": "<y>", "source": PIXEL, "claim": f"“{names[1]}” is given"}],
        },
        "class_map_examples": [
            {
                "label": names[1],
                "images": [{"source": PIXEL, "title": "baseline", "told": "Map of <baseline>"}],
            }
        ],
    }


def page_of(changes=None, **more):
    entries = {**entries_of(), **more}
    entries["summary"] = {**entries["summary"], **(changes or {})}
    return Page(write_report(**entries))


@pytest.fixture(scope="module")
def page():
    return page_of()


# --- the page as a whole ------------------------------------------------------------------------


def drawn(name="</script><script>alert(1)</script>"):
    return go.Figure(go.Bar(x=[name], y=[1]))


def test_the_page_asks_for_nothing_and_runs_nothing_but_its_own():
    text = write_report(**entries_of(), label_counts_figure=drawn())
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n") and ("html", {"lang": "en"}) in page.tags
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    sources = [value for _, about in page.tags for key, value in about.items() if key == "src"]
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    places = [about["href"] for tag, about in page.tags if tag == "a"]
    anchors = {about.get("id") for tag, about in page.tags if tag == "section"}
    assert {place.removeprefix("#") for place in places} == anchors
    (policy,) = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policy.startswith("default-src 'none';") and policy.count("'sha256-") == 2
    assert [about for tag, about in page.tags if tag == "script"] == [
        {"type": "application/json"},
        {},
        {},
    ]


def test_a_figure_arrives_as_it_was_drawn():
    name = "</script><!--&\N{LINE SEPARATOR}"
    (figure,) = Page(write_report(**entries_of(), label_counts_figure=drawn(name))).figures()
    assert figure["data"][0]["x"] == [name]


def test_a_page_without_figures_has_no_script(page):
    assert not page.scripts


def test_every_table_is_captioned_and_every_header_has_a_scope(page):
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") == len(page.tables) == 15
    assert all(about["scope"] in ("col", "row") for tag, about in page.tags if tag == "th")
    assert all(len({len(row) for row in rows}) == 1 for rows in page.tables.values())
    assert all(about["alt"] for tag, about in page.tags if tag == "img")


def test_headings_leave_no_level_out(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_colours_are_readable():
    style = re.search(r"<style>(.*?)</style>", write_report(**entries_of()), re.DOTALL).group(1)
    inks = re.findall(r"[{;]\s*color: #(\w{6})", style)
    papers = ["ffffff", *re.findall(r"(?:right,|background:) #(\w{6})", style)]
    assert (len(inks), len(papers)) == (5, 4)
    for ink in inks:
        for paper in papers:
            light, dark = brightness(paper), brightness(ink)
            assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def brightness(colour):
    """Relative luminance of the sRGB colour space (WCAG 2.2)."""
    channels = np.array(list(bytes.fromhex(colour))) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@settings(max_examples=25)
@given(names=st.lists(TEXTS, min_size=4, max_size=4, unique=True))
def test_any_label_name_is_shown_as_it_is(names):
    page = Page(write_report(**entries_of(tuple(names))))
    for caption in ("Images with each label", "ahead on"):
        assert {row[0] for row in page.table(caption)[1:]} == set(names)
    assert page.table("(DGP)")[2][1] == ", ".join(names[2:])
    assert page.table("pairs by")[1][0] == f"{names[1]}, cow"
    assert page.table("of image <p>")[1][0] == f"✓ {names[1]}"


def test_the_page_is_the_same_after_a_walk_through_files(tmp_path):
    entries = entries_of()
    again = {}
    for name, entry in entries.items():
        if isinstance(entry, pd.DataFrame):
            entry.to_csv(tmp_path / "table.csv", index=False)
            again[name] = pd.read_csv(tmp_path / "table.csv")
        else:
            again[name] = entry if name == "parameters" else json.loads(json.dumps(entry))
    assert write_report(**again) == write_report(**entries)


def test_tables_of_two_runs_are_not_joined():
    entries = entries_of()
    entries["average_precision"] = entries["average_precision"][::-1]
    with pytest.raises(LabelError, match="label 0 is 'sea' in label_counts but 'field' in aver"):
        write_report(**entries)


# --- the verdict --------------------------------------------------------------------------------


def test_the_verdict_comes_first(page):
    assert page.title == "Report of a run: resnet10t, cgp + dgp, K = 2"
    assert page.words.startswith(
        "The student reaches 63.46\N{NO-BREAK SPACE}% mAP on the test split, 3.46 points above "
        "the baseline’s 60.00\N{NO-BREAK SPACE}%."
    )
    for told in ("+3.46 points", "1 of 3 labels", "2 lose", "8.5 baselines", "6.6 by the clock"):
        assert told in page.words
    assert "--params controls.budget_matched_baseline=true" in page.words


def test_the_verdict_tells_a_loss():
    assert "2.00 points below" in page_of({"student": {"mAP": 58.0}}).words


def test_the_verdict_compares_with_the_longer_baseline():
    seconds = summary_of()["seconds"] | {"budget_matched_baseline": 640.0}
    page = page_of({"budget_matched_baseline": figures_of(65.0), "seconds": seconds})
    assert "−1.54 points" in page.words and "reaches 65.00" in page.words
    assert "budget_matched_baseline=true" not in page.words
    assert page.table("300 test images")[2][0] == "Longer baseline"


def test_a_run_without_positives_or_seconds_still_has_a_page():
    none = {**summary_of()["seconds"], "baseline": 0.0}
    assert "– by the clock" in page_of({"seconds": none}).words
    page = page_of({"seconds": none, "baseline": {}, "student": {}})
    assert page.words.startswith("Baseline and student cannot be compared")
    assert page.table("300 test images")[1] == ["Baseline", "–", "–", "–", "0.0"]


# --- tables -------------------------------------------------------------------------------------


def test_models_with_their_seconds(page):
    assert page.table("300 test images") == [
        ["Model", "mAP", "CF1", "OF1", "Seconds of training"],
        ["Baseline", "60.00", "55.50", "61.25", "100.0"],
        ["Teachers together: Co-occurrence (CGP)", "62.00", "57.50", "63.25", "250.0"],
        ["Teachers together: Dis-occurrence (DGP)", "61.00", "56.50", "62.25", "260.0"],
        ["Student", "63.46", "58.96", "64.71", "150.0"],
    ]


def test_the_other_f1_have_a_table_of_their_own():
    more = {"macro_F1": 55.0, "CF1_top3": 56.0, "OF1_top3": 57.125}
    rows = page_of({"student": figures_of(63.0) | more}).table("F1 the other ways")
    assert rows[0] == ["Model", "Macro F1", "CF1, top 3", "OF1, top 3"]
    assert rows[1] == ["Baseline", "–", "–", "–"] and len(rows) == 5
    assert rows[-1] == ["Student", "55.00", "56.00", "57.12"]


def test_data_and_label_counts(page):
    data = dict(page.table("Images and labels"))
    assert (data["Images, train"], data["Images quarantined (unreadable)"]) == ("1,200", "2")
    rows = page.table("Images with each label")[1:]
    assert [row[0] for row in rows] == [NAMES[1], "field", "sea", "cow"]
    assert rows[0][1:] == ["600", "60", "120", "9"]
    assert page.table("quarantined images")[1] == ["<x>", "a.jpg", "truncated"]


def test_without_quarantine_there_is_no_table_of_it():
    entries = entries_of()
    page = page_of(quarantine=entries["quarantine"][:0])
    assert not any("quarantined images" in caption for caption in page.tables)


def test_groups_and_quality(page):
    assert page.table("(CGP)")[1:] == [
        ["cgp_0", "sea, <b>R&D</b>", "2", "70.50"],
        ["cgp_1", "cow, field", "2", "–"],
    ]
    quality = page.table("Quality")
    assert quality[1][:3] == ["normalised cut", "2.000", "−0.500"]
    assert len(quality) == 1 + len(summary_of()["partitions"]["cgp"]["quality"])
    assert all(meaning for *_, meaning in quality)
    assert not any("_" in title for title, *_ in quality), "a figure without a name of its own"


def test_named_groups_show_their_names():
    partitions = summary_of()["partitions"]
    partitions["cgp"]["titles"] = ["water", "<i>land</i>"]
    page = page_of({"partitions": partitions})
    assert page.table("(CGP)") == [
        ["Teacher", "Group", "Labels", "Number", "mAP"],
        ["cgp_0", "water", "sea, <b>R&D</b>", "2", "70.50"],
        ["cgp_1", "<i>land</i>", "cow, field", "2", "–"],
    ]
    assert page.table("(DGP)")[0] == ["Teacher", "Labels", "Number", "mAP"]


def test_each_plain_teacher_shows_its_figure():
    plain = {**figures_of(64.0), "parts": [63.25, None, 62.0]}
    page = page_of({"teachers": {**summary_of()["teachers"], "full_label": plain}})
    assert page.table("mAP of each") == [
        ["Teacher", "mAP"],
        ["full_label_0", "63.25"],
        ["full_label_1", "–"],
        ["full_label_2", "62.00"],
    ]
    assert "Teachers together: Full-label ensemble" in [
        row[0] for row in page.table("300 test images")
    ]


def test_partitions_by_hand_have_no_quality():
    partitions = summary_of()["partitions"]
    for partition in partitions.values():
        partition["quality"] = {}
    page = page_of({"partitions": partitions})
    assert not any(caption.startswith("Quality") for caption in page.tables)


def survey_of(*ks):
    row = {"smallest": 2, "largest": 40, "ncut": 1.25, "coverage_graph": 0.75, "stability": 1.0}
    rows = [
        {"num_parts": k, **row, "coverage_graph_random": 0.5, "coverage_counts": 9.0} for k in ks
    ]
    return pd.DataFrame(rows)


def test_the_number_of_groups_in_use_is_marked_among_the_others():
    suggestion = {"num_parts": 3, "share": 0.95, "modularity": 0.4126}
    surveys = {"survey_cgp": survey_of(2, 3, 4), "survey_dgp": survey_of(2, 3)}
    page = page_of(**surveys, survey_cgp_figure=drawn(), suggested_parts=suggestion)
    rows = page.table("Co-occurrence (CGP): quality for every K")
    assert rows[0][:2] == ["K", "Labels a group"] and not any("_" in name for name in rows[0])
    assert rows[1] == ["2, in use", "2–40", "1.250", "0.750", "0.500", "1.000"]
    assert [row[0] for row in rows[2:]] == ["3", "4"]
    assert sum(about.get("class") == "marked" for _, about in page.tags) == 2, "one a table"
    told = "falls into 3 communities (Louvain, 95 % of the seeds, modularity 0.41)"
    assert told in page.words and len(page.figures()) == 1


def test_without_communities_the_page_says_so():
    suggestion = {"num_parts": None, "share": 1.0, "modularity": 0.0}
    page = page_of(survey_cgp=survey_of(2), suggested_parts=suggestion)
    assert "keep no company" in page.words and "communities (Louvain" not in page.words


def test_what_was_trained_for_how_long(page):
    assert page.table("What was trained") == [
        ["Training", "Epochs", "Kept: epoch, weights", "Validation mAP", "Seconds"],
        ["baseline", "2", "2, averaged", "62.50", "1.0"],
        ["cgp_0", "3", "3, averaged", "62.50", "12.3"],
    ]


def test_labels_stand_by_what_the_student_gained(page):
    assert page.table("ahead on 1 labels, behind on 2")[1:] == [
        [NAMES[1], "120", "60.00", "62.50", "+2.50"],
        ["cow", "1", "70.00", "70.00", "+0.00"],
        ["sea", "12", "50.00", "49.00", "−1.00"],
        ["field", "0", "–", "–", "–"],
    ]


def test_pairs_and_issues(page):
    assert page.table("pairs by")[1] == [f"{NAMES[1]}, cow", "1,200", "7", "5", "3", "2"]
    assert page.table("likely wrong")[1] == ["<y>", "test", NAMES[1], "absent", "97.3"]


def test_sections_without_content_are_left_out():
    nothing = {"examples": [], "issues": []}
    entries = entries_of()
    empty = {name: entries[name][:0] for name in ("pair_errors", "label_issues")}
    page = page_of(**empty, image_cards=nothing, class_map_examples=[])
    sections = {about.get("id") for tag, about in page.tags if tag == "section"}
    assert sections == {"models", "data", "groups", "training", "labels", "provenance"}


def test_the_pointing_game_stands_beside_chance():
    game = {
        "baseline": 30.0,
        "student": None,
        "teachers": {"cgp": 41.5},
        "chance": 8.25,
        "pairs": 1500,
        "images": 200,
        "tolerance_pixels": 3,
    }
    page = page_of({"pointing_game": game})
    assert page.table("1,500 labels of 200 test images") == [
        ["Model", "Hits, percent"],
        ["Baseline", "30.00"],
        ["Teachers: Co-occurrence (CGP)", "41.50"],
        ["Student", "–"],
        ["A place drawn at random", "8.25"],
    ]
    assert "within 3 px" in page.words


def test_versions_fingerprints_and_parameters(page):
    assert page.table("Versions")[1:] == [
        ["version of torch", "2.11"],
        ["fingerprint of labels", "0123"],
    ]
    told = dict(page.table("Parameters")[1:])
    assert (told["evaluation.threshold"], told["model.weights"]) == ("0.5", "null")


@pytest.mark.parametrize(
    ("commit", "told"),
    [("0123456789ab+changes", "commit 0123456789ab+changes"), (None, "commit not under git")],
)
def test_the_footer_tells_seed_commit_and_version(commit, told):
    assert f"Seed 3 · {told} · mlic 0.1.0" in page_of({"git": commit}).words
