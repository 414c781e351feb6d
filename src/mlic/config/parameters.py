"""All parameters of a run as one typed model, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from mlic.errors import ParameterError
from mlic.explain.options import ExplainOptions
from mlic.images.options import DataOptions, SyntheticOptions
from mlic.labels.options import PartitionOptions
from mlic.models.options import ModelOptions
from mlic.training.options import DistillationOptions, TeacherOptions, TrainingOptions
from mlic.utils.strict_model import StrictModel

__all__ = ["ControlOptions", "EvaluationOptions", "Parameters", "check_parameters"]


class EvaluationOptions(StrictModel):
    """How the test figures are taken."""

    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="probability from which a label counts as predicted"
    )


class ControlOptions(StrictModel):
    """What is trained only to compare with; controls among the teachers are strategies."""

    budget_matched_baseline: bool = Field(
        default=False, description="a baseline given all passes of teachers and student"
    )


class Parameters(StrictModel):
    """Everything that ``conf/**/parameters*.yml`` and ``--params`` may say."""

    seed: int = Field(ge=0, description="the one source of chance of a run")
    recipe: str | None = Field(default=None, description="a file of conf/recipes, worked in")
    folder: str | None = Field(default=None, description="where the data set of --env lies")
    test_manifest: str | None = Field(default=None, description="a manifest of test images")
    user_groups: str | None = Field(default=None, description="the groups of the strategy user")
    data: DataOptions
    synthetic: SyntheticOptions
    partition: PartitionOptions
    model: ModelOptions
    training: TrainingOptions
    teachers: TeacherOptions = TeacherOptions()
    distillation: DistillationOptions
    controls: ControlOptions = ControlOptions()
    evaluation: EvaluationOptions
    explain: ExplainOptions = ExplainOptions()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Rules of several keys, all told at once."""
        rules = (self._wrong_shares(), self._too_many_groups(), self._missing_weights())
        if mistakes := [mistake for mistake in rules if mistake]:
            raise ValueError("\n  ".join(mistakes))
        return self

    def _wrong_shares(self) -> str | None:
        shares, strategies = self.distillation.shares, self.partition.strategies
        if shares is None or set(shares) == set(strategies):
            return None
        return (
            f"distillation.shares: names {', '.join(shares) or 'no strategy'}, but "
            f"partition.strategies are {', '.join(strategies)}; give each of them a share"
        )

    def _too_many_groups(self) -> str | None:
        """How many labels are drawn is known; real ones are counted when they are read."""
        if self.data.source != "synthetic":
            return None
        drawn = self.synthetic.num_communities * self.synthetic.labels_per_community
        return self.partition.too_many_parts(drawn)

    def _missing_weights(self) -> str | None:
        """Looked for here and not by the model's options, which checkpoints carry elsewhere."""
        weights = self.model.weights
        if weights in (None, "pretrained") or Path(weights).is_file():
            return None
        return f"model.weights: there is no file {weights}; correct the path"


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Check all parameters at once.

    Parameters
    ----------
    raw
        The merged tree of all parameter files and ``--params``.

    Raises
    ------
    ParameterError
        Listing every mistake with its key and what would be right. Its field ``parameters`` holds
        the keys; the key of a rule about several sections is empty.
    """
    try:
        return Parameters.model_validate(raw)
    except ValidationError as error:
        mistakes = {_key(mistake): _describe(mistake) for mistake in error.errors()}
    lines = "\n".join(f"  {line}" for line in mistakes.values())
    number = "1 parameter is" if len(mistakes) == 1 else f"{len(mistakes)} parameters are"
    raise ParameterError(f"{number} wrong:\n{lines}", parameters=list(mistakes))


def _key(mistake: Any) -> str:
    return ".".join(str(step) for step in mistake["loc"])


def _describe(mistake: Any) -> str:
    key = _key(mistake)
    if mistake["type"] == "extra_forbidden":
        close = _closest(key)
        return f"{key}: unknown" + (f"; did you mean '{close}'?" if close else "")
    if mistake["type"] == "missing":
        return f"{key}: missing; set it in conf/base/parameters*.yml"
    message = mistake["msg"].removeprefix("Value error, ")
    told = f"{message[0].lower()}{message[1:]}"
    if isinstance(mistake["input"], Mapping):  # a rule of several keys, which it names itself
        return f"{key}: {told}" if key else told
    return f"{key}: {told} (got {mistake['input']!r})"


def _closest(key: str) -> str | None:
    """The known key whose name is most like this one's; of equals the one that lies nearest."""
    known = list(_all_keys(Parameters))
    names = [name.rpartition(".")[2] for name in known]
    for name in get_close_matches(key.rpartition(".")[2], names, n=1):
        alike = [path for path in known if path.rpartition(".")[2] == name]
        return get_close_matches(key, alike, n=1, cutoff=0)[0]
    return None


def _all_keys(model: type[StrictModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, StrictModel):
            yield from _all_keys(field.annotation, f"{prefix}{name}.")
