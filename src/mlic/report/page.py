"""The report as one HTML file that contains its figures, images, style and scripts.

Its content security policy forbids loading anything and running any script other than the two
that are named by their hash.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mlic.labels import LabelSpace
from mlic.report import groups, tables
from mlic.report.headline import describe_model, write_headline
from mlic.report.names import strategy_title

__all__ = ["Findings", "make_environment", "read_template", "render_report"]


@dataclass(frozen=True)
class Findings:
    """All results of a run, as the nodes return them or as they were read back from files.

    Parameters
    ----------
    summary
        Content of ``summary.json``; scores in percent, undefined ones missing or None.
    parameters
        Parameters of the run, as Kedro has them.
    trainings
        Description of each training, by model.
    label_counts
        Columns ``label``, ``train``, ``validation``, ``test`` and ``unknown``; one row per label.
    quarantine
        Columns ``id``, ``source`` and ``reason``; one row per unreadable image.
    average_precision
        Columns ``label``, ``positives``, ``baseline`` and ``student``, in percent; one row per
        label, NaN where a label has no positive in the test split.
    label_decisions
        Result of `mlic.report.calibration.tabulate_decisions`.
    pair_errors, label_issues
        Results of `mlic.report.error_analysis`.
    image_cards
        ``examples`` and ``issues``, see `mlic.report.image_cards`.
    class_map_examples
        Rows of images with class maps, see `mlic.report.class_map_images`.
    known_label_scores
        ``scores`` and ``interventions``, see `mlic.report.known_labels`.
    suggested_parts
        Number of communities of the label graph, see `mlic.labels.partition.survey.Suggestion`.
    figures
        Plotly figures by name; figures that are missing are left out of the page.
    surveys
        Partition quality over K by strategy, see `mlic.labels.partition.survey.survey_parts`.

    Raises
    ------
    LabelError
        If ``label_counts`` and ``average_precision`` are of different labels.
    """

    summary: Mapping[str, Any]
    parameters: Mapping[str, Any]
    trainings: Mapping[str, Mapping[str, Any]]
    label_counts: pd.DataFrame
    quarantine: pd.DataFrame
    average_precision: pd.DataFrame
    label_decisions: pd.DataFrame
    pair_errors: pd.DataFrame
    label_issues: pd.DataFrame
    image_cards: Mapping[str, Sequence[Mapping[str, Any]]]
    class_map_examples: Sequence[Mapping[str, Any]] = ()
    known_label_scores: Mapping[str, Any] = field(default_factory=dict)
    suggested_parts: Mapping[str, Any] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    surveys: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The two files may be left over from different runs.
        counted = LabelSpace(tuple(self.label_counts["label"]))
        scored = LabelSpace(tuple(self.average_precision["label"]))
        counted.require_same(scored, "label_counts", "average_precision")


def render_report(found: Findings) -> str:
    """Render the report of a run as a self-contained HTML5 document; every text is escaped."""
    environment = make_environment()
    # Plotly escapes "<", ">" and "/" in its JSON, so that no text of a figure can end the script.
    environment.filters["figure_json"] = lambda figure: Markup(figure.to_json())  # noqa: S704
    # Jinja calls it with the names of strategies, which the page has to spell out.
    environment.globals["strategy_title"] = strategy_title
    # Plotly's several megabytes are only included if there is something to draw.
    scripts = [get_plotlyjs(), read_template(environment, "report.js")] if found.figures else []
    return environment.get_template("report.html").render(
        found=found,
        title=_title(found.parameters),
        headline=write_headline(found.summary, found.average_precision),
        model=describe_model(found.trainings, found.parameters),
        tables=_tables(found),
        style=Markup(read_template(environment, "report.css")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        # The policy names scripts by their hash, so that no injected script can run.
        hashes=[_hash(script) for script in scripts],
    )


def make_environment() -> Environment:
    """Make the environment of all pages: texts are escaped, a misspelt name is an error."""
    return Environment(
        loader=PackageLoader("mlic.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _title(parameters: Mapping[str, Any]) -> str:
    partition = parameters["partition"]
    teachers = f"{' + '.join(partition['strategies'])}, K = {partition['num_parts']}"
    return f"Report of a run: {parameters['model']['backbone']}, {teachers}"


def _tables(found: Findings) -> dict[str, Any]:
    summary = found.summary
    return {
        "models": tables.model_table(summary),
        "calibration": tables.calibration_table(summary),
        "decisions": tables.decision_table(found.label_decisions),
        "other_f1": tables.f1_table(summary),
        "data": tables.data_table(summary["data"]),
        "label_counts": tables.count_table(found.label_counts),
        "quarantine": tables.quarantine_table(found.quarantine),
        "groups": groups.group_tables(summary),
        "quality": groups.quality_table(summary["partitions"]),
        "surveys": groups.survey_tables(summary["partitions"], found.surveys),
        "trainings": tables.training_table(found.trainings),
        "precision": tables.precision_table(found.average_precision),
        "pairs": tables.pair_table(found.pair_errors),
        "issues": tables.issue_table(found.label_issues),
        "pointing": tables.pointing_table(summary.get("pointing_game")),
        "head_graph": tables.head_graph_table(found.trainings),
        "known": tables.known_label_table(found.known_label_scores, summary),
        "interventions": tables.intervention_table(found.known_label_scores),
        "provenance": tables.provenance_table(summary),
        "parameters": tables.parameter_table(found.parameters),
    }


def read_template(environment: Environment, name: str) -> str:
    """Read a template as it is, without rendering it."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(script: str) -> str:
    """Return the source expression of a script in a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
