"""The run as one page of HTML that needs nothing else: no script, no network, no other file.

Every text that comes from outside is escaped on its way in, here or in `markup`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from mlic.pipelines.reporting.groups import group_section, strategy_title, survey_section
from mlic.pipelines.reporting.markup import (
    cell,
    note,
    number,
    page,
    percent,
    row_name,
    section,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

__all__ = ["render_report"]


def render_report(
    summary: dict[str, Any],
    label_counts: pd.DataFrame,
    average_precision: pd.DataFrame,
    class_maps: str = "",
    surveys: Mapping[str, pd.DataFrame] | None = None,
    suggested_parts: Mapping[str, Any] | None = None,
) -> str:
    """Write the report of a run.

    Parameters
    ----------
    summary
        As `summarise_run` makes it, or read back from its JSON; figures in percent. A figure
        that is missing, None or NaN shows as a dash.
    label_counts
        ``label``, ``train``, ``validation``, ``test`` and ``unknown``; a row a label.
    average_precision
        ``label``, ``positives``, ``baseline`` and ``student``, in percent; a row a label, NaN
        where a label has no positive in the test split.
    class_maps
        Markup of `mlic.pipelines.reporting.maps.render_maps`.
    surveys
        By strategy the quality of its groups over K, as `mlic.labels.survey.survey_parts` has it.
    suggested_parts
        What communities suggest, as `mlic.labels.survey.Suggestion` has it.

    Returns
    -------
    str
        A whole HTML5 document.
    """
    body = [
        f'<header><h1>Report of a run</h1>\n<p class="verdict">{_verdict(summary)}</p></header>',
        section("Figures", _figures(summary)),
        section("Data", _data(summary["data"])),
        section("Labels by split", _counts(label_counts, summary["data"]["pictures"]["train"])),
        group_section(summary),
        survey_section(summary["partitions"], surveys or {}, suggested_parts),
        section("Average precision by label", _precision(average_precision)),
        _looking(class_maps, summary.get("pointing_game")),
        _footer(summary),
    ]
    return page("Report of a run", "\n".join(body))


def _verdict(summary: Mapping[str, Any]) -> str:
    baseline, student = summary["baseline"].get("mAP"), summary["student"].get("mAP")
    if baseline is None or student is None:
        return "Baseline and student cannot be compared: no label has a positive in the test split."
    seconds = summary["seconds"]
    whole = _ratio(seconds["total"] - seconds["baseline"], seconds["baseline"])
    alone = _ratio(seconds["student"], seconds["baseline"])
    side = "below" if student < baseline else "above"
    return (
        f"The student reaches {percent(student)} mAP on the test split, "
        f"{number(abs(student - baseline))} points {side} the baseline's {percent(baseline)}, "
        f"at {number(whole, 1)} times the baseline's seconds with its teachers, "
        f"{number(alone, 1)} times without."
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _figures(summary: Mapping[str, Any]) -> str:
    models = list(_models(summary))
    rows = [
        [
            row_name(model),
            *(cell(number(figures.get(name))) for name in ("mAP", "CF1", "OF1")),
            cell(number(time, 1)),
        ]
        for model, figures, time in models
    ]
    shown = table(
        f"All labels, {summary['data']['pictures']['test']:,} test pictures, in percent",
        ("Model", "mAP", "CF1", "OF1", "Seconds of training"),
        rows,
    )
    explained = note(
        "mAP: mean average precision over labels. CF1 and OF1: F1 by class and overall, at the "
        "probability threshold of the evaluation. One seed is one draw: compare several before "
        "a small difference is believed."
    )
    return shown + explained + _other_f1([(model, figures) for model, figures, _ in models])


def _models(
    summary: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], float | None]]:
    """Title, figures and seconds of baselines, the teachers of each strategy, and student."""
    seconds = summary["seconds"]
    yield "Baseline", summary["baseline"], seconds["baseline"]
    if "longer" in summary:
        yield "Baseline, trained longer", summary["longer"], seconds["longer"]
    for name, figures in summary["teachers"].items():
        title = f"Teachers together: {strategy_title(name)}"
        yield title, figures, seconds["teachers"].get(name)
    yield "Student", summary["student"], seconds["student"]


def _other_f1(models: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    columns = {"macro_F1": "Macro F1", "CF1_top3": "CF1, top 3", "OF1_top3": "OF1, top 3"}
    rows = [
        [row_name(model), *(cell(number(figures.get(name))) for name in columns)]
        for model, figures in models
    ]
    return table("F1 the other ways it is published", ("Model", *columns.values()), rows) + note(
        "Macro F1: the mean of the labels' F1, where CF1 is the F1 of mean precision and mean "
        "recall; some papers call it CF1. Top 3: of each picture's three highest probabilities, "
        "those of at least 0.5."
    )


def _data(data: Mapping[str, Any]) -> str:
    pictures = data["pictures"]
    lines = {
        **{f"Pictures, {split}": f"{count:,}" for split, count in pictures.items()},
        "Pictures quarantined (unreadable)": f"{data['quarantined']:,}",
        "Labels": f"{data['labels']:,}",
        "Labels a picture, on average": number(data["labels_per_picture"]),
        "Label states unknown": percent(100 * data["unknown_share"]),
    }
    rows = [[row_name(name), cell(value)] for name, value in lines.items()]
    return table("Pictures and labels", ("What", "How many"), rows)


def _counts(label_counts: pd.DataFrame, num_train: int) -> str:
    ordered = label_counts.sort_values("train", ascending=False, kind="stable")
    most = ordered["train"].max()
    rows = [
        [
            row_name(label),
            *(cell(f"{count:,}") for count in counts),
            _bar(_ratio(counts[0], num_train), _ratio(counts[0], most)),
        ]
        for label, *counts in ordered[
            ["label", "train", "validation", "test", "unknown"]
        ].itertuples(index=False)
    ]
    return table(
        "Pictures with each label, most frequent first; bars are drawn to the first of them",
        ("Label", "Train", "Validation", "Test", "Unknown", "Share of training pictures"),
        rows,
    )


def _bar(share: float | None, length: float | None) -> str:
    told = percent(None if share is None else 100 * share, 1)
    style = f'class="bar" style="--share:{100 * (length or 0):.1f}%"'
    return cell(told, "td", style)


def _precision(average_precision: pd.DataFrame) -> str:
    gain = average_precision["student"] - average_precision["baseline"]
    ordered = average_precision.assign(gain=gain).sort_values(
        "gain", ascending=False, kind="stable", na_position="last"
    )
    rows = [
        [
            row_name(label),
            cell(f"{positives:,}"),
            cell(number(baseline)),
            cell(number(student)),
            cell(number(difference, sign="+")),
        ]
        for label, positives, baseline, student, difference in ordered[
            ["label", "positives", "baseline", "student", "gain"]
        ].itertuples(index=False)
    ]
    shown = table(
        f"In percent on the test split: the student is ahead on {(gain > 0).sum()} labels, "
        f"behind on {(gain < 0).sum()}",
        ("Label", "Positives", "Baseline", "Student", "Difference"),
        rows,
    )
    return shown + note("–: no positive in the test split. Few positives make a figure uncertain.")


def _looking(class_maps: str, game: Mapping[str, Any] | None) -> str:
    """Say what the models look at, as far as the run has maps or masks."""
    content = [class_maps] if class_maps else []
    if game is not None:
        content.append(_pointing(game))
    return section("Where the models look", *content) if content else ""


def _pointing(game: Mapping[str, Any]) -> str:
    named = {"baseline": "Baseline", "longer": "Baseline, trained longer"}
    scores = {
        **{title: game[name] for name, title in named.items() if name in game},
        **{f"Teachers: {strategy_title(name)}": score for name, score in game["teachers"].items()},
        "Student": game.get("student"),
        "A place drawn at random": game["chance"],
    }
    rows = [[row_name(model), cell(number(score))] for model, score in scores.items()]
    shown = table(
        f"Pointing game on {game['pairs']:,} labels of {game['pictures']:,} test pictures",
        ("Model", "Hits, percent"),
        rows,
    )
    return shown + note(
        "A map hits if the middle of its strongest cell lies on a thing of the label, or within "
        f"{game['tolerance_pixels']} px of one. The mean over labels of each label's share of "
        "hits. Where noise put a label on a picture without its thing there is nothing to point "
        "at: such pairs are left out."
    )


def _footer(summary: Mapping[str, Any]) -> str:
    commit = summary["git"] or "not under git"
    text = f"Seed {summary['seed']} · commit {commit} · mlic {summary['version']}"
    return f"<footer>{escape(text)}</footer>"
