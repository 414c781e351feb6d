"""What a person may say about trainings and distillation."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from mlic.images.options import AugmentationOptions
from mlic.models.options import BranchOptions
from mlic.utils.plugins import refuse_unknown_plugin
from mlic.utils.strict_model import StrictModel

__all__ = [
    "DISTILLERS",
    "LOSSES",
    "ROLES",
    "Choice",
    "DistillationOptions",
    "TeacherOptions",
    "TrainingOptions",
]

LOSSES = "mlic.losses"
DISTILLERS = "mlic.losses.distillation"
ROLES = ("baseline", "teacher", "student")
SHARED = (
    "augmentation",
    "overrides",
    "teacher_epoch_factor",
    "student_epoch_factor",
)  # the student must see the views its teachers saw


class Choice(StrictModel):
    """A plug-in by name, with its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


def _known(package: str, choice: Choice) -> Choice:
    refuse_unknown_plugin(package, choice.name)
    return choice


class TrainingOptions(StrictModel):
    """The budget and the recipe of one training."""

    epochs: int = Field(ge=1)
    teacher_epoch_factor: float = Field(
        default=1.0, gt=0, description="a teacher's epochs, in epochs of the baseline"
    )
    student_epoch_factor: float = Field(
        default=1.0,
        gt=0,
        description="the student's epochs, in epochs of the baseline: a patient student learns "
        "more from its teachers (Beyer et al., arXiv 2106.05237)",
    )
    batch_size: int = Field(ge=1, description="images a forward pass")
    accumulation: int = Field(default=1, ge=1, description="forward passes an optimiser step")
    optimizer: str = Field(default="adamw", description="a name of timm.optim")
    learning_rate: float = Field(gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(default=1e-4, ge=0, description="not on biases and norms")
    warmup: float = Field(default=0.1, gt=0, lt=1, description="share of steps up to the peak")
    ema_decay: float = Field(default=0.997, ge=0, lt=1)
    ema_warmup: bool = Field(default=True, description="let the decay grow from 0 at the start")
    loss: Choice = Choice(name="asymmetric")
    reduction: Literal["mean", "sum"] = Field(
        default="mean", description="over known cells, or the sum over batch and labels"
    )
    augmentation: AugmentationOptions = AugmentationOptions()
    normalise: bool = Field(
        default=True, description="by the backbone's mean and deviation; false: pixels in [0, 1]"
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        default="auto", description="auto: mixed on a GPU, 32 bits on the CPU"
    )
    compile: bool | Literal["auto"] = Field(
        default="auto",
        description="one kernel of many, by torch.compile; auto: in long trainings on a GPU",
    )
    threads: int = Field(default=4, ge=1, description="CPU threads of one training")
    overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="other values for baseline, teacher or student; never of augmentation",
    )

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, choice: Choice) -> Choice:
        return _known(LOSSES, choice)

    @model_validator(mode="after")
    def _sound_overrides(self) -> Self:
        if unknown := set(self.overrides) - set(ROLES):
            raise ValueError(f"overrides: unknown role '{min(unknown)}'; known are {ROLES}")
        for role, own in self.overrides.items():
            if forbidden := [name for name in SHARED if name in own]:
                raise ValueError(f"overrides.{role}: '{forbidden[0]}' is the same for all roles")
            try:
                self.for_role(role)
            except ValidationError as error:
                mistakes = [
                    f"overrides.{'.'.join(map(str, (role, *e['loc'])))}: {e['msg']}"
                    for e in error.errors()
                ]
                raise ValueError("; ".join(mistakes)) from None
        return self

    def for_role(self, role: str) -> TrainingOptions:
        """The options of baseline, teacher or student, its overrides worked in.

        Examples
        --------
        >>> base = TrainingOptions(
        ...     epochs=9, batch_size=8, learning_rate=1e-3, overrides={"student": {"epochs": 12}}
        ... )
        >>> base.for_role("student").epochs, base.for_role("teacher").epochs
        (12, 9)
        """
        factors = {"teacher": self.teacher_epoch_factor, "student": self.student_epoch_factor}
        plain = self.model_dump(
            exclude={"overrides", *(f"{name}_epoch_factor" for name in factors)}
        )
        plain["epochs"] = max(round(factors.get(role, 1) * self.epochs), 1)
        return TrainingOptions(**{**plain, **self.overrides.get(role, {})})


class TeacherOptions(StrictModel):
    """How teachers are trained beside each other, and how what they say is kept."""

    mode: Literal["separate", "joint", "frozen"] = Field(
        default="joint",
        description="each a training of its own; all in one training, branches on layers that "
        "learn from all; or branches on the trained baseline's layers, which stay as they are",
    )
    branch: BranchOptions = Field(
        default=BranchOptions(),
        description="of joint and frozen teachers: where they part ways, and how wide they are",
    )
    targets: Literal["float16", "float32"] = Field(
        default="float16", description="precision of stored logits; float16 is off by |z| / 2048"
    )


class DistillationOptions(StrictModel):
    """How the student weighs truth and teachers.

    ``L = hard_weight · loss + Σ_s soft_weight · share_s · distiller(student, teachers of s)``
    """

    distiller: Choice = Choice(name="binary_kl")
    hard_weight: float = Field(default=0.5, ge=0, description="weight of the loss on the truth")
    soft_weight: float = Field(default=0.5, ge=0, description="weight of all teachers together")
    shares: dict[str, float] | None = Field(
        default=None, description="a strategy's share of soft_weight; nothing: equal shares"
    )

    @field_validator("distiller")
    @classmethod
    def _known_distiller(cls, choice: Choice) -> Choice:
        return _known(DISTILLERS, choice)

    def share(self, strategy: str, strategies: list[str]) -> float:
        """Share of the soft weight that falls to one strategy."""
        return 1 / len(strategies) if self.shares is None else self.shares.get(strategy, 0.0)
