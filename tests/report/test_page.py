"""The page, read as the parser of a browser reads it."""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import LabelError
from mlic.report.page import Findings
from tests.report.example import NAMES, Page, entries_of, page_of, render


@pytest.fixture(scope="module")
def page():
    return page_of()


def figure_of(name="</script><script>alert(1)</script>"):
    return go.Figure(go.Bar(x=[name], y=[1]))


def words_of(page):
    return " ".join(page.words.split())


class TestDocument:
    def test_page_loads_nothing_and_runs_only_its_own_scripts(self):
        text = render(figures={"label_counts": figure_of()})
        page = Page(text)
        assert text.startswith("<!DOCTYPE html>\n") and ("html", {"lang": "en"}) in page.tags
        assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
        sources = [v for _, attributes in page.tags for k, v in attributes.items() if k == "src"]
        assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
        (policy,) = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
        assert policy.startswith("default-src 'none';") and policy.count("'sha256-") == 2
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert scripts == [{"type": "application/json"}, {}, {}]

    def test_figure_data_pass_unchanged(self):
        name = "</script><!--&\N{LINE SEPARATOR}"
        (figure,) = page_of(figures={"label_counts": figure_of(name)}).figures()
        assert figure["data"][0]["x"] == [name]

    def test_page_without_figures_has_no_script(self, page):
        assert not page.scripts

    def test_tables_have_captions_and_headers_have_scopes(self, page):
        tags = [tag for tag, _ in page.tags]
        assert tags.count("table") == tags.count("caption") == len(page.tables) == 15
        assert all(a["scope"] in ("col", "row") for tag, a in page.tags if tag == "th")
        assert all(len({len(row) for row in rows}) == 1 for rows in page.tables.values())

    def test_images_have_descriptions(self, page):
        descriptions = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
        assert all(descriptions) and "Map of <baseline>" in descriptions

    def test_headings_skip_no_level(self, page):
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))

    def test_text_has_enough_contrast(self):
        style = re.search(r"<style>(.*?)</style>", render(), re.DOTALL).group(1)
        schemes = re.findall(r":root \{([^}]*)\}", style)[:2]
        for scheme in schemes:
            colours = {n: wide(c) for n, c in re.findall(r"--(\w+): #(\w+)", scheme)}
            for text in ("text", "quiet", "link"):
                for background in ("page", "tile", "mark", "bar"):
                    if (text, background) not in {("quiet", "bar"), ("link", "bar")}:
                        assert contrast(colours[text], colours[background]) >= 4.5  # WCAG 2.2


def wide(colour):
    return colour if len(colour) == 6 else "".join(2 * digit for digit in colour)


def contrast(first, second):
    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    """Relative luminance of a colour in the sRGB colour space (WCAG 2.2)."""
    channels = np.array(list(bytes.fromhex(colour))) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


class TestContent:
    def test_headline_comes_first(self, page):
        assert page.title == "Report of a run: resnet10t, cgp + dgp, K = 2"
        assert page.words.startswith("The student reaches 63.5\N{NO-BREAK SPACE}% mAP")
        assert "+3.5 points" in page.words

    def test_navigation_lists_the_sections_with_content(self, page):
        links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
        sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
        assert links == [f"#{anchor}" for anchor in sections] and len(links) == 10

    def test_sections_without_content_are_left_out(self):
        entries = entries_of()
        empty = {name: entries[name][:0] for name in ("pair_errors", "label_issues")}
        cards = {"examples": [], "issues": []}
        page = page_of(**empty, image_cards=cards, class_map_examples=[])
        sections = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
        assert sections == {"models", "data", "groups", "training", "labels", "provenance"}

    def test_tables_of_absent_results_are_left_out(self):
        page = page_of(quarantine=entries_of()["quarantine"][:0])
        assert not any("unreadable images" in caption for caption in page.tables)
        assert not any("Pointing game" in caption for caption in page.tables)

    def test_missing_figures_are_left_out(self):
        page = page_of(figures={"label_counts": figure_of(), "unknown": figure_of()})
        assert len(page.figures()) == 1

    def test_pointing_game_is_explained(self):
        game = {"teachers": {}, "chance": 8, "pairs": 9, "images": 4, "tolerance_pixels": 3}
        page = page_of({"pointing_game": game})
        assert page.table("Pointing game") and "within 3 px" in page.words

    @pytest.mark.parametrize(
        ("num_parts", "message"),
        [(3, "has 3 communities (Louvain method, 95 % of"), (None, "No two labels occur together")],
    )
    def test_suggested_number_of_groups_is_explained(self, num_parts, message):
        suggestion = {"num_parts": num_parts, "share": 0.95, "modularity": 0.4126}
        survey = pd.DataFrame(
            {"num_parts": [2, 3], "smallest": 2, "largest": 4, "ncut": 1.0, "stability": 1.0}
        ).assign(coverage_graph=0.5, coverage_graph_random=0.5)
        figures = {"survey_cgp": figure_of()}
        page = page_of(surveys={"cgp": survey}, suggested_parts=suggestion, figures=figures)
        assert message in words_of(page) and len(page.figures()) == 1
        marked = [attributes for _, attributes in page.tags if attributes.get("class") == "marked"]
        assert len(marked) == 1, "the K in use"

    @pytest.mark.parametrize(
        ("commit", "shown"),
        [("0123456789ab+changes", "commit 0123456789ab+changes"), (None, "commit not under git")],
    )
    def test_footer_shows_seed_commit_and_version(self, commit, shown):
        assert f"Seed 3 · {shown} · mlic 0.1.0" in page_of({"git": commit}).words


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@settings(max_examples=25)
@given(names=st.lists(TEXTS, min_size=4, max_size=4, unique=True))
def test_any_label_name_is_shown_unchanged(names):
    page = Page(render(tuple(names)))
    for caption in ("Images with each label", "better on"):
        assert {row[0] for row in page.table(caption)[1:]} == set(names)
    assert page.table("(DGP)")[2][1] == ", ".join(names[2:])
    assert page.table("pairs by")[1][0] == f"{names[1]}, cow"
    assert page.table("of image <p>")[1][0] == f"✓ {names[1]}"


def test_page_is_the_same_after_saving_and_loading_its_entries(tmp_path):
    again = {}
    for name, entry in entries_of().items():
        if isinstance(entry, pd.DataFrame):
            entry.to_csv(tmp_path / "table.csv", index=False)
            again[name] = pd.read_csv(tmp_path / "table.csv")
        else:
            again[name] = json.loads(json.dumps(entry))
    assert render(**again) == render()


def test_tables_of_two_runs_are_refused():
    entries = entries_of()
    entries["average_precision"] = entries["average_precision"][::-1]
    with pytest.raises(LabelError, match=NAMES[0]):
        Findings(**entries)
