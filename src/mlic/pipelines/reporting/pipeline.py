"""Wiring of the report.

::

    *.checkpoint ──► test_predictions ──► summary, average_precision, pair_errors
                ├──► learning_predictions ──► label_issues ──► image_cards
                ├──► trainings ──► training_curves_figure
                └──► class_maps ──► class_map_examples, pointing_game
    label_counts, partition_*, tables above ──► figures
    all of these ──► report

What the report needs of the teachers is gathered in their box, and leaves it as one entry a kind.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.labels.options import FULL_LABEL
from mlic.pipelines.graph_partition.pipeline import BUILDERS
from mlic.pipelines.reporting.nodes import (
    describe_trainings,
    predict_learning_splits,
    predict_test_split,
    summarise_run,
    tabulate_average_precision,
    write_report,
)
from mlic.report.error_analysis import (
    find_label_issues,
    show_images,
    tabulate_pair_errors,
)
from mlic.report.explain import (
    draw_class_maps,
    map_classes,
    play_pointing_game,
)
from mlic.report.report_figures import (
    draw_average_precision,
    draw_label_counts,
    draw_networks,
    draw_pair_errors,
    draw_training_curves,
)

__all__ = ["create_pipeline"]

DRAWN = ("label_counts", "training_curves", "average_precision", "pair_errors")


def create_pipeline(shape: RunShape) -> Pipeline:
    """*.checkpoint → test_predictions, class_maps → tables and figures → report.

    Where the things are known, the pointing game is played too.
    """
    strategies, masks, longer = (
        shape.trained_strategies,
        shape.has_masks,
        shape.budget_matched_baseline,
    )
    teachers = [one.name for one in shape.teachers]
    singles = ["baseline", *(["budget_matched_baseline"] if longer else []), "student"]
    partitions = [f"partition_{strategy}" for strategy in strategies if strategy != FULL_LABEL]
    return Pipeline(
        [
            *(_read(teachers, "teachers") if teachers else []),
            *_read(singles, teachers=bool(teachers)),
            *_judge(partitions, masks),
            *_look_for_mistakes(),
            *_draw(partitions),
            *_look(masks),
            _write(strategies, partitions),
        ]
    )


def _node(
    function: Callable[..., Any], inputs: Any, output: str, namespace: str | None = None
) -> Node:
    return Node(
        function, inputs=inputs, outputs=output, name=function.__name__, namespace=namespace
    )


def _read(models: Sequence[str], box: str | None = None, teachers: bool = False) -> list[Node]:
    """Everything that takes checkpoints: the teachers' in their box, then the others beside it."""
    checkpoints = [f"{model}.checkpoint" for model in models]
    given: dict[Callable[..., Any], tuple[str, list[str]]] = {
        predict_test_split: ("test_predictions", ["images", "labels", "params:training"]),
        describe_trainings: ("trainings", []),
        map_classes: ("class_maps", ["images", "labels", "params:training", "params:explain"]),
    }
    return [
        _node(function, [*seen, *checkpoints], f"{box}.{entry}", box)
        if box
        else _node(function, [*seen, *checkpoints, *([f"teachers.{entry}"] * teachers)], entry)
        for function, (entry, seen) in given.items()
    ]


def _judge(partitions: Sequence[str], masks: bool) -> list[Node]:
    """What the models say of the images, in figures."""
    entries = ["labels", "quarantine", "trainings", *(["pointing_game"] if masks else [])]
    options = ["evaluation", "training", "partition", "teachers", "seed"]
    summarised = {
        "predictions": "test_predictions",
        **{name: name for name in [*entries, *partitions]},
        **{name: f"params:{name}" for name in options},
    }
    learning = ["images", "labels", "params:training", "student.checkpoint"]
    return [
        _node(predict_learning_splits, learning, "learning_predictions"),
        _node(summarise_run, summarised, "summary"),
        _node(tabulate_average_precision, ["test_predictions", "labels"], "average_precision"),
    ]


def _look_for_mistakes() -> list[Node]:
    issues = ["test_predictions", "learning_predictions", "labels"]
    shown = ["test_predictions", "labels", "label_issues", "images"]
    return [
        _node(tabulate_pair_errors, ["test_predictions", "labels"], "pair_errors"),
        _node(find_label_issues, issues, "label_issues"),
        _node(show_images, shown, "image_cards"),
    ]


def _draw(partitions: Sequence[str]) -> list[Node]:
    networks = {"statistics": "label_statistics", **{name: name for name in partitions}}
    return [
        _node(draw_label_counts, ["label_counts", "labels"], "label_counts_figure"),
        _node(draw_training_curves, "trainings", "training_curves_figure"),
        _node(draw_average_precision, "average_precision", "average_precision_figure"),
        _node(draw_pair_errors, "pair_errors", "pair_errors_figure"),
        *([_node(draw_networks, networks, "networks_figure")] if partitions else []),
    ]


def _look(masks: bool) -> list[Node]:
    """Class maps as images, and the game where there are masks."""
    drawn = ["class_maps", "images", "params:explain"]
    played = ["class_maps", "synthetic_images", "synthetic_masks", "params:explain"]
    return [
        _node(draw_class_maps, drawn, "class_map_examples"),
        *([_node(play_pointing_game, played, "pointing_game")] if masks else []),
    ]


def _write(strategies: Sequence[str], partitions: Sequence[str]) -> Node:
    """The page, with a survey of every graph that was cut."""
    cuts = [name for name in strategies if name in BUILDERS]
    figures = [
        *DRAWN,
        *(["partitions", "networks"] if partitions else []),
        *(f"survey_{name}" for name in cuts),
    ]
    entries = [
        *("summary", "parameters", "trainings", "label_counts", "quarantine", "average_precision"),
        *("pair_errors", "label_issues", "image_cards", "class_map_examples"),
        *(["suggested_parts"] if cuts else []),
        *(f"survey_{name}" for name in cuts),
        *(f"{name}_figure" for name in figures),
    ]
    return _node(write_report, {name: name for name in entries}, "report")
