"""All parameters of a run as one typed model, checked before the first node runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from mlic.config.cluster import RayOptions
from mlic.errors import ParameterError
from mlic.explain.options import ExplainOptions
from mlic.images.options import DataOptions, SyntheticOptions
from mlic.inference.options import CalibrationOptions
from mlic.labels.options import PartitionOptions
from mlic.models.options import ModelOptions
from mlic.training.distillation_options import AveragingOptions, DistillationOptions, TeacherOptions
from mlic.training.options import ROLES, TrainingOptions
from mlic.utils.strict_model import StrictModel
from mlic.utils.suggestions import closest

__all__ = [
    "ControlOptions",
    "EvaluationOptions",
    "Parameters",
    "RegistryOptions",
    "check_parameters",
]


class EvaluationOptions(StrictModel):
    """How models are evaluated on the test split."""

    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="probability from which a label counts as predicted"
    )


class ControlOptions(StrictModel):
    """Trainings for comparison only; control groups of teachers are partition strategies."""

    budget_matched_baseline: bool = Field(
        default=False,
        description="whether to train a baseline with the training passes of teachers and student",
    )


class RegistryOptions(StrictModel):
    """Registration of the student in MLflow's model registry."""

    name: str | None = Field(
        default=None, description="name of the registered model; null: it is only logged"
    )
    alias: str = Field(
        default="champion",
        description="alias that moves to the new version if its validation mAP is higher",
    )


class Parameters(StrictModel):
    """All keys of ``conf/**/parameters*.yml`` and ``--params``."""

    seed: int = Field(ge=0, description="seed of all random numbers of a run")
    environment: str = Field(default="base", description="folder of the results; not to be set")
    data_folder: str = Field(
        default="data", description="folder for data/ of the catalog, such as a mounted one"
    )
    recipe: str | None = Field(default=None, description="name of a file in conf/recipes")
    folder: str | None = Field(default=None, description="folder of the data set of --env")
    test_manifest: str | None = Field(default=None, description="path of a manifest of test images")
    images: str | None = Field(
        default=None,
        description="images of the pipeline inference: a folder, a CSV or Parquet list of paths, "
        "or an entry of the catalog",
    )
    trained_model: str | None = Field(
        default=None,
        description="model of the pipeline inference: a checkpoint file or a run of MLflow; null: "
        "the student of the environment; --params model=<path> sets it",
    )
    known: str | None = Field(
        default=None,
        description="labels of the images to predict that are known: a CSV file with the columns "
        "image, present, absent",
    )
    user_groups: str | None = Field(
        default=None, description="path of the groups of the strategy user"
    )
    data: DataOptions
    synthetic: SyntheticOptions
    partition: PartitionOptions
    model: ModelOptions
    training: TrainingOptions
    teachers: TeacherOptions = TeacherOptions()
    distillation: DistillationOptions
    averaging: AveragingOptions = AveragingOptions()
    controls: ControlOptions = ControlOptions()
    calibration: CalibrationOptions = CalibrationOptions()
    evaluation: EvaluationOptions
    explain: ExplainOptions = ExplainOptions()
    registry: RegistryOptions = RegistryOptions()
    ray: RayOptions = RayOptions()

    @model_validator(mode="after")
    def _check_sections(self) -> Self:
        """Check rules about several sections, and report all violations together."""
        rules = (
            *(self._check_shares(), self._check_num_parts()),
            *(self._check_weights(), self._check_scale(), self._check_peers()),
            *(self._check_links(), self._check_averaging(), self._check_sizes()),
            *(self._check_data_folder(), self._check_splices()),
        )
        if mistakes := [mistake for mistake in rules if mistake]:
            raise ValueError("\n  ".join(mistakes))
        return self

    def _check_shares(self) -> str | None:
        shares, strategies = self.distillation.shares, self.partition.strategies
        if shares is None or set(shares) == set(strategies):
            return None
        return (
            f"distillation.shares: the keys are {', '.join(shares) or 'empty'}, but "
            f"partition.strategies are {', '.join(strategies)}; give each strategy a share"
        )

    def _check_num_parts(self) -> str | None:
        if self.data.source != "synthetic":
            return None  # the labels of a data set are counted when it is read
        num_labels = self.synthetic.num_communities * self.synthetic.labels_per_community
        return self.partition.too_many_parts(num_labels)

    def _check_scale(self) -> str | None:
        loss, head = self.training.loss, self.model.head_options.get("scale", "auto")
        own = loss.options.get("scale", "auto")
        # The loss cannot know the scale of the head: both are given logits alone.
        if loss.name != "angular_asymmetric" or own == head:
            return None
        return (
            f"training.loss.options.scale: it is {own}, but model.head_options.scale is {head}; "
            "give both the same, or leave both out"
        )

    def _check_peers(self) -> str | None:
        # teachers may share one training, and a student has teachers to learn from
        if not any(self.training.for_role(role).peers for role in ("teacher", "student")):
            return None
        return "training.peers: only the baseline may have peers; use training.overrides.baseline"

    def _check_sizes(self) -> str | None:
        teacher, side = self.training.for_role("teacher").sizes, self.data.side
        if any(self.training.for_role(role).sizes for role in ("baseline", "student")):
            return "training.sizes: only teachers may have them; use training.overrides.teacher"
        if teacher is None:
            return None
        if self.teachers.mode == "frozen" and self.partition.partitioned:
            return (
                "training.overrides.teacher.sizes: frozen teachers read stored features of one "
                "size; set teachers.mode to joint or separate"
            )
        if max(teacher) > side:
            return (
                f"training.overrides.teacher.sizes: {max(teacher)} pixels are more than the stored "
                f"images have ({side}); set data.store_size to at least {max(teacher)}"
            )
        return None

    def _check_splices(self) -> str | None:
        baseline, teacher, student = (
            self.training.for_role(role) for role in ("baseline", "teacher", "student")
        )
        if teacher.splice.share:
            return (
                "training.splice: only baseline and student may have spliced images; use "
                "training.overrides.baseline and training.overrides.student"
            )
        if baseline.splice.share and baseline.peers:
            return "training.splice: a baseline with peers has no spliced images; set one to 0"
        if any(role.splice.share and role.devices > 1 for role in (baseline, student)):
            return "training.splice: images of one device are spliced; set training.devices to 1"
        uses_groups = baseline.splice.uses_groups or student.splice.uses_groups
        if uses_groups and "cgp" not in self.partition.strategies:
            return "training.splice.partners: groups are those of CGP; add cgp to the strategies"
        return None

    def _check_links(self) -> str | None:
        if not self.distillation.linked or self._has_one_loss():
            return None
        return (
            "distillation.linked: the logits of teachers and student must mean the same, but "
            "training.overrides give their roles different losses; give all roles one loss"
        )

    def _check_averaging(self) -> str | None:
        if not self.averaging.enabled or self.distillation.start == "baseline":
            return None
        return (
            "averaging.enabled: weights can only be averaged with those of the baseline if both "
            "start alike; set distillation.start to baseline"
        )

    def _has_one_loss(self) -> bool:
        losses = [self.training.for_role(role).loss for role in ROLES]
        return all(loss == losses[0] for loss in losses)

    def _check_data_folder(self) -> str | None:
        if "://" not in self.data_folder:
            return None
        # arrays are mapped to memory, which needs files
        return (
            f"data_folder: {self.data_folder} is an address: give a folder, a mounted one too, or "
            "set ray.storage to the address and run with --runner=RayRunner"
        )

    def _check_weights(self) -> str | None:
        # not checked by ModelOptions, which checkpoints take to machines without this file
        weights = self.model.weights
        if weights in (None, "pretrained") or Path(weights).is_file():
            return None
        return f"model.weights: the file {weights} does not exist; correct the path"


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Check all parameters, merged from the files and ``--params``, at once.

    A `ParameterError` lists every mistake with its key. Its field ``parameters`` holds the keys;
    the key of a rule about several sections is empty.
    """
    try:
        return Parameters.model_validate(raw)
    except ValidationError as error:
        mistakes = error.errors()
    lines = "\n".join(f"  {_describe(mistake)}" for mistake in mistakes)
    number = lines.count("\n") + 1  # a rule about several sections may report several mistakes
    subject = "1 parameter is" if number == 1 else f"{number} parameters are"
    raise ParameterError(f"{subject} wrong:\n{lines}", parameters=[_key(m) for m in mistakes])


def _key(mistake: Any) -> str:
    return ".".join(map(str, mistake["loc"]))


def _describe(mistake: Any) -> str:
    key = _key(mistake)
    if mistake["type"] == "extra_forbidden":
        close = _closest(key)
        return f"{key}: unknown" + (f"; did you mean '{close}'?" if close else "")
    if mistake["type"] == "missing":
        return f"{key}: missing; set it in conf/base/parameters*.yml"
    message = mistake["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    if isinstance(mistake["input"], Mapping):  # a rule about several keys, which its text names
        return f"{key}: {message}" if key else message
    return f"{key}: {message} (got {mistake['input']!r})"


def _closest(key: str) -> str | None:
    """Return the known key whose last part is most similar; of several, the most similar path."""
    # The last part is compared alone, because a wrong section would hide a right name.
    known = list(_all_keys(Parameters))
    name = closest(_last(key), map(_last, known)) or _last(key)
    paths = [path for path in known if _last(path) == name]
    return max(paths, key=lambda path: SequenceMatcher(a=path, b=key).ratio(), default=None)


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _all_keys(model: type[StrictModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, StrictModel):
            yield from _all_keys(field.annotation, f"{prefix}{name}.")
