"""Saved views of an MLflow experiment, and a description with links to them.

MLflow stores saved views as tags of the experiment. The format is the one that the menu *Views* of
MLflow 3.17 writes; a version with another format ignores them, and nothing else depends on them.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Any

__all__ = ["experiment_tags"]

_CURVES, _GAINS = "Training curves", "Gain of each run"
_CHARTS = ("mAP.validation", "mAP.validation_raw", "loss.train", "learning_rate")
_TRAINING = (
    *("metrics.`mAP.best_validation`", "metrics.`seconds`", "metrics.`images_per_second`"),
    *("tags.`strategy`", "tags.`part`", "tags.`data`", "tags.`num_parts`", "tags.`seed`"),
)
_RUN = (
    *("metrics.`mAP.gain`", "metrics.`mAP.student`", "metrics.`mAP.baseline`"),
    *("metrics.`mAP.budget_matched_baseline`", "metrics.`cost_in_baselines`"),
    *("tags.`data`", "tags.`strategies`", "tags.`num_parts`", "tags.`seed`"),
)


def experiment_tags(experiment_id: str) -> dict[str, str]:
    """Make the tags of an experiment: saved views, and a description with links to them.

    Examples
    --------
    >>> for name in experiment_tags("7"):
    ...     print(name)
    mlflow.note.content
    mlflow.sharedViewState.mlic-curves
    mlflow.sharedViewState.mlic-gains
    """
    address = f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey="
    return {
        "mlflow.note.content": f"[{_CURVES}]({address}mlic-curves&compareRunsMode=CHART) of "
        f"baseline, teachers and student; [{_GAINS}]({address}mlic-gains)",
        "mlflow.sharedViewState.mlic-curves": _pack(_CURVES, _curves()),
        "mlflow.sharedViewState.mlic-gains": _pack(_GAINS, {"selectedColumns": list(_RUN)}),
    }


def _pack(name: str, state: dict[str, Any]) -> str:
    now = int(time.time() * 1000)
    order = {"orderByKey": "attributes.start_time", "orderByAsc": False}
    # MLflow reads the state as the JavaScript of its page writes it: deflated JSON in base 64.
    packed = base64.b64encode(zlib.compress(json.dumps(order | state).encode())).decode()
    view = {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return json.dumps(view)


def _curves() -> dict[str, Any]:
    """Describe the view of trainings, grouped by role, with one curve for each over the epochs."""
    section = {"uuid": "epochs", "name": "Over the epochs", "display": True}
    role = {"mode": "tag", "groupByData": "role"}
    lines = {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""}
    return {
        "selectedColumns": list(_TRAINING),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": [_chart(metric) for metric in _CHARTS],
        "compareRunSections": [section | {"isReordered": False, "deleted": False}],
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [role]},
        "groupsExpanded": {},
        "useGroupedValuesInCharts": False,
        "hideEmptyCharts": True,
        "globalLineChartConfig": lines,
    }


def _chart(metric: str) -> dict[str, Any]:
    # All keys that MLflow's menu writes, also those with default values.
    chart = {"uuid": metric, "type": "LINE", "metricSectionId": "epochs", "displayName": metric}
    state = {"deleted": False, "isGenerated": False, "runsCountToCompare": 20}
    metrics = {"metricKey": metric, "selectedMetricKeys": [metric]}
    x = {"xAxisKey": "step", "xAxisScaleType": "linear", "selectedXAxisMetricKey": ""}
    y = {"yAxisKey": "metric", "yAxisExpressions": [], "scaleType": "linear", "range": {}}
    line = {"lineSmoothness": 0, "useGlobalLineSmoothing": True, "ignoreOutliers": False}
    return {**chart, **state, **metrics, **x, "useGlobalXaxisKey": True, **y, **line}
