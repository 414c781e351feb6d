"""Pipeline of the report.

::

    *.model ──► test_predictions ──► calibrated_scores, label_decisions
                │                ──► summary, average_precision, pair_errors
                ├──► label_masks ──► known_label_scores
                ├──► learning_predictions, soft_targets ──► label_issues ──► image_cards
                ├──► trainings ──► training_curves_figure
                └──► class_maps ──► class_map_examples, pointing_game
    label_counts, partition_*, tables above ──► figures
    all of these ──► report

The results of all teachers are collected in their namespace, one entry per kind of result.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.distillation.teacher_id import NAMESPACE
from mlic.pipelines.graph_partition.pipeline import BUILDERS
from mlic.pipelines.reporting import nodes

__all__ = ["create_pipeline"]

DRAWN = (
    *("label_counts", "training_curves", "average_precision", "pair_errors"),
    *("reliability", "decisions"),
)


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect the checkpoints of all models to the report."""
    teachers = [teacher.name for teacher in shape.teachers]
    partitions = [f"partition_{strategy}" for strategy in shape.partition_strategies]
    return Pipeline(
        [
            *(_collect(teachers, NAMESPACE) if teachers else []),
            *_collect(shape.single_models, join_teachers=bool(teachers)),
            *_score(partitions, shape.has_masks),
            *_find_label_issues(),
            *_use_known_labels(shape.single_models),
            *_draw(partitions),
            *_explain(shape.has_masks),
            _write(shape.trained_strategies, partitions),
        ]
    )


def _node(
    function: Callable[..., Any], inputs: Any, output: str, namespace: str | None = None
) -> Node:
    return Node(function, inputs, output, name=function.__name__, namespace=namespace)


def _collect(
    models: Sequence[str], namespace: str | None = None, join_teachers: bool = False
) -> list[Node]:
    """Make the nodes that read checkpoints: those of the teachers, or those of other models.

    The nodes of the other models join their results with those of the teachers, so that every
    later node reads one entry and does not depend on the number of teachers.
    """
    predicted = ["images", "labels", "params:training"]
    entries: dict[str, tuple[Callable[..., Any], list[str]]] = {
        "test_predictions": (nodes.predict_test_split, predicted),
        "trainings": (nodes.describe_trainings, []),
        "class_maps": (nodes.map_classes, [*predicted, "params:explain"]),
    }
    made = []
    # The teachers' results come last: in a function's inputs, models may have any order.
    for entry, (function, inputs) in entries.items():
        # The teachers are not calibrated: they are used for their logits only.
        kind = "checkpoint" if namespace else "model"
        collected = [f"{model}.{kind}" for model in models]
        collected += [f"{NAMESPACE}.{entry}"] * join_teachers
        output = f"{namespace}.{entry}" if namespace else entry
        made.append(_node(function, [*inputs, *collected], output, namespace))
    return made


def _score(partitions: Sequence[str], masks: bool) -> list[Node]:
    """Make the nodes that score the models."""
    entries = [
        *("labels", "quarantine", "trainings", "calibrated_scores"),
        *(["pointing_game"] if masks else []),
    ]
    options = ["evaluation", "training", "partition", "teachers", "data", "seed"]
    summarised = {
        "predictions": "test_predictions",
        **{name: name for name in [*entries, *partitions]},
        **{name: f"params:{name}" for name in options},
    }
    scored = ["test_predictions", "labels"]
    decided = ["test_predictions", "trainings", "labels"]
    return [
        _node(nodes.score_calibration, [*decided, "params:seed"], "calibrated_scores"),
        _node(nodes.tabulate_decisions, decided, "label_decisions"),
        _node(nodes.summarise_run, summarised, "summary"),
        _node(nodes.tabulate_average_precision, scored, "average_precision"),
        _node(nodes.tabulate_pair_errors, scored, "pair_errors"),
    ]


def _find_label_issues() -> list[Node]:
    """Make the nodes that find errors of the annotation, and show images with their labels."""
    learning = ["images", "labels", "params:training", "student.model"]
    known = ["test_predictions", "learning_predictions", "soft_targets", "trainings", "labels"]
    shown = ["test_predictions", "trainings", "labels", "label_issues", "images"]
    return [
        _node(nodes.predict_learning_splits, learning, "learning_predictions"),
        _node(nodes.find_label_issues, known, "label_issues"),
        _node(nodes.make_image_cards, shown, "image_cards"),
    ]


def _use_known_labels(models: Sequence[str]) -> list[Node]:
    """Make the nodes that score models which are given some of the labels."""
    names = ["student", *(name for name in models if name != "student")]
    inputs = ["images", "labels", "params:training", "label_masks"]
    return [
        _node(nodes.draw_label_masks, ["labels", "params:seed"], "label_masks"),
        _node(
            nodes.score_known_labels,
            [*inputs, *(f"{n}.model" for n in names)],
            "known_label_scores",
        ),
    ]


def _draw(partitions: Sequence[str]) -> list[Node]:
    """Make the nodes that draw figures."""
    # The names of the partitions are the keywords by which the node receives them.
    networks = {"statistics": "label_statistics", **{name: name for name in partitions}}
    return [
        _node(nodes.draw_label_counts, ["label_counts", "labels"], "label_counts_figure"),
        _node(nodes.draw_training_curves, "trainings", "training_curves_figure"),
        _node(nodes.draw_average_precision, "average_precision", "average_precision_figure"),
        _node(nodes.draw_pair_errors, "pair_errors", "pair_errors_figure"),
        _node(nodes.draw_reliability, "calibrated_scores", "reliability_figure"),
        _node(nodes.draw_decisions, "label_decisions", "decisions_figure"),
        *([_node(nodes.draw_networks, networks, "networks_figure")] if partitions else []),
    ]


def _explain(masks: bool) -> list[Node]:
    """Make the nodes that render class maps, and play the pointing game if there are masks."""
    drawn = ["class_maps", "images", "params:explain"]
    played = ["class_maps", "synthetic_images", "synthetic_masks", "params:explain"]
    return [
        _node(nodes.draw_class_maps, drawn, "class_map_examples"),
        *([_node(nodes.play_pointing_game, played, "pointing_game")] if masks else []),
    ]


def _write(strategies: Sequence[str], partitions: Sequence[str]) -> Node:
    """Make the node that writes the page, with a survey of every graph that was partitioned."""
    graphs = [name for name in strategies if name in BUILDERS]
    # Only the strategies that partition a graph have a survey over K.
    figures = [
        *DRAWN,
        *(["partitions", "networks"] if partitions else []),
        *(f"survey_{name}" for name in graphs),
    ]
    # Must match the fields of `mlic.report.page.Findings`, which the node fills by keyword.
    entries = [
        *("summary", "parameters", "trainings", "label_counts", "quarantine", "average_precision"),
        *("label_decisions", "pair_errors", "label_issues", "image_cards", "class_map_examples"),
        "known_label_scores",
        *(["suggested_parts"] if graphs else []),
        *(f"survey_{name}" for name in graphs),
        *(f"{name}_figure" for name in figures),
    ]
    return _node(nodes.write_report, {name: name for name in entries}, "report")
