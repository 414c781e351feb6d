"""All parameters of a run as one typed model, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlic.errors import ParameterError
from mlic.images.options import DataOptions
from mlic.images.scenes import SceneOptions
from mlic.labels.options import PartitionOptions
from mlic.models.options import ModelOptions
from mlic.training.options import DistillationOptions, TrainingOptions

__all__ = ["EvaluationOptions", "Parameters", "check_parameters"]


class EvaluationOptions(BaseModel):
    """How the test figures are taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="probability from which a label counts as predicted"
    )


class Parameters(BaseModel):
    """Everything that ``conf/**/parameters*.yml`` and ``--params`` may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(ge=0, description="the one source of chance of a run")
    folder: str | None = Field(default=None, description="where the data set of --env lies")
    test_manifest: str | None = Field(default=None, description="a manifest of test pictures")
    data: DataOptions
    scenes: SceneOptions
    partition: PartitionOptions
    model: ModelOptions
    training: TrainingOptions
    distillation: DistillationOptions
    evaluation: EvaluationOptions


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Check all parameters at once.

    Parameters
    ----------
    raw
        The merged tree of all parameter files and ``--params``.

    Raises
    ------
    ParameterError
        Listing every mistake with its key and what would be right.
    """
    try:
        return Parameters.model_validate(raw)
    except ValidationError as error:
        mistakes = [_describe(mistake) for mistake in error.errors()]
    lines = "\n".join(f"  {line}" for line in mistakes)
    number = "1 parameter is" if len(mistakes) == 1 else f"{len(mistakes)} parameters are"
    raise ParameterError(f"{number} wrong:\n{lines}")


def _describe(mistake: Any) -> str:
    key = ".".join(str(step) for step in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        close = get_close_matches(key.rpartition(".")[2], _all_keys(Parameters), n=1)
        return f"{key}: unknown" + (f"; did you mean '{close[0]}'?" if close else "")
    if mistake["type"] == "missing":
        return f"{key}: missing; set it in conf/base/parameters*.yml"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]} (got {mistake['input']!r})"


def _all_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _all_keys(field.annotation)
