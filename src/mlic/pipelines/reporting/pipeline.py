"""Wiring of the report."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.labels.options import PLAIN
from mlic.pipelines.graph_partition.pipeline import BUILDERS
from mlic.pipelines.reporting.explain import (
    draw_class_maps,
    map_classes,
    play_pointing_game,
)
from mlic.pipelines.reporting.nodes import (
    predict_test_split,
    summarise_run,
    tabulate_average_precision,
    write_report,
)
from mlic.pipelines.teacher_training.pipeline import teacher_names

__all__ = ["create_pipeline"]


def create_pipeline(
    strategies: Sequence[str] = ("cgp", "dgp"),
    num_parts: int = 3,
    num_plain: int = 1,
    longer: bool = False,
    masks: bool = False,
) -> Pipeline:
    """*.checkpoint → test_predictions, class_maps → summary, average_precision, report.

    Where the things are known (``masks``), the pointing game is played too.
    """
    teachers = [f"teachers.{name}" for name in teacher_names(strategies, num_parts, num_plain)]
    models = ["baseline", *(["longer"] if longer else []), *teachers, "student"]
    checkpoints = [f"{model}.checkpoint" for model in models]
    partitions = [f"partition_{strategy}" for strategy in strategies if strategy != PLAIN]
    return Pipeline(
        [
            Node(
                predict_test_split,
                inputs=["pictures", "labels", "params:training", *checkpoints],
                outputs="test_predictions",
                name="predict_test_split",
            ),
            Node(
                summarise_run,
                inputs={
                    "predictions": "test_predictions",
                    "labels": "labels",
                    "quarantine": "quarantine",
                    "evaluation": "params:evaluation",
                    "seed": "params:seed",
                    **({"pointing_game": "pointing_game"} if masks else {}),
                    **{name: name for name in partitions},
                    **{name.replace(".", "_"): name for name in checkpoints},
                },
                outputs="summary",
                name="summarise_run",
            ),
            Node(
                tabulate_average_precision,
                inputs=["test_predictions", "labels"],
                outputs="average_precision",
                name="tabulate_average_precision",
            ),
            _write(strategies),
            *_looking(checkpoints, masks),
        ]
    )


def _write(strategies: Sequence[str]) -> Node:
    """The page, with a survey of every graph that was cut."""
    surveys = {name: f"survey_{name}" for name in strategies if name in BUILDERS}
    return Node(
        write_report,
        inputs={
            "summary": "summary",
            "label_counts": "label_counts",
            "average_precision": "average_precision",
            "class_maps": "class_map_figure",
            **({"suggested_parts": "suggested_parts"} if surveys else {}),
            **surveys,
        },
        outputs="report",
        name="write_report",
    )


def _looking(checkpoints: Sequence[str], masks: bool) -> list[Node]:
    """Nodes from checkpoints to class maps, their picture, and the game where there are masks."""
    options = "params:explain"
    nodes = [
        Node(
            map_classes,
            inputs=["pictures", "labels", "params:training", options, *checkpoints],
            outputs="class_maps",
            name="map_classes",
        ),
        Node(
            draw_class_maps,
            inputs=["class_maps", "pictures", options],
            outputs="class_map_figure",
            name="draw_class_maps",
        ),
    ]
    if masks:
        play = Node(
            play_pointing_game,
            inputs=["class_maps", "raw_pictures", "scene_masks", options],
            outputs="pointing_game",
            name="play_pointing_game",
        )
        nodes.append(play)
    return nodes
