"""Training configuration."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from mlic.images.options import AugmentationOptions
from mlic.utils.plugins import refuse_unknown_plugin
from mlic.utils.strict_model import StrictModel

__all__ = [
    "LOSSES",
    "ROLES",
    "Choice",
    "LabelMaskOptions",
    "SpliceOptions",
    "TrainingOptions",
    "known_plugin",
]

LOSSES = "mlic.losses"
ROLES = ("baseline", "teacher", "student")
# options that no role may override: the student must see the views that its teachers saw
SHARED = ("augmentation", "overrides", "teacher_epoch_factor", "student_epoch_factor")


class Choice(StrictModel):
    """Name of a plug-in, and its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


def known_plugin(package: str, choice: Choice) -> Choice:
    """Return a choice that names a plug-in of the package; another is a `ParameterError`."""
    refuse_unknown_plugin(package, choice.name)
    return choice


def _split(value: object) -> object:
    """Accept ``64+96+128``, because a list cannot be written on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


class LabelMaskOptions(StrictModel):
    """Which label states a model is shown in training, if its head uses known labels."""

    max_known: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="largest share of the labels that is known; the number is drawn for each "
        "image, from 0 on; 0: always none",
    )
    flipped: float = Field(
        default=0,
        ge=0,
        lt=0.5,
        description="share of the known states that are wrong, so that the model learns not to "
        "rely on every hint",
    )
    never_known: tuple[str, ...] = Field(
        default=(), description="labels that are never known; a name may contain * and ?"
    )


class SpliceOptions(StrictModel):
    """Spliced images in training (SpliceMix); see `mlic.training.splicing`."""

    share: float = Field(
        default=0,
        ge=0,
        le=1,
        description="spliced images in addition to each batch, as a share of its images, such as "
        "0.25, at as much more cost; 0: off",
    )
    blank: float = Field(
        default=0.3, ge=0, le=1, description="share of the spliced images with blank cells"
    )
    consistency: float = Field(
        default=0,
        ge=0,
        description="weight of the distance between the prediction of a cell and that of the "
        "image it shows",
    )
    partners: Literal["random", "other_group", "same_group"] = Field(
        default="random",
        description="the other images of a spliced image: any of the batch, or first those whose "
        "labels lie in other groups of CGP, or in the same one",
    )

    @property
    def uses_groups(self) -> bool:
        """Whether the partners depend on groups of labels."""
        return self.share > 0 and self.partners != "random"


class TrainingOptions(StrictModel):
    """Budget and recipe of one training."""

    epochs: int = Field(ge=1)
    teacher_epoch_factor: float = Field(
        default=1.0, gt=0, description="epochs of a teacher, divided by those of the baseline"
    )
    student_epoch_factor: float = Field(
        default=1.0,
        gt=0,
        description="epochs of the student, divided by those of the baseline: distillation gains "
        "from long training (Beyer et al., arXiv 2106.05237)",
    )
    batch_size: int = Field(ge=1, description="images in a forward pass")
    accumulation: int = Field(default=1, ge=1, description="forward passes for one optimiser step")
    optimizer: str = Field(default="adamw", description="name of an optimiser of timm.optim")
    learning_rate: float = Field(gt=0, description="peak of the one-cycle schedule")
    backbone_rate: float = Field(
        default=1.0,
        gt=0,
        description="learning rate of the backbone, as a share of the head's: below 1, a "
        "pretrained backbone changes more slowly than a head that starts from random weights",
    )
    weight_decay: float = Field(
        default=1e-4, ge=0, description="weight decay, except of biases and norms"
    )
    sharpness_radius: float = Field(
        default=0.0,
        ge=0,
        description="radius of sharpness-aware minimisation (SAM), such as 0.05, which doubles the "
        "cost of a step; 0: off",
    )
    warmup: float = Field(default=0.1, gt=0, lt=1, description="share of the steps before the peak")
    peers: int = Field(
        default=0,
        ge=0,
        le=3,
        description="further models that are trained at the same time, each of which learns from "
        "the others too (deep mutual learning); one makes a training 2.7 times as dear; only under "
        "overrides.baseline",
    )
    peer_weight: float = Field(
        default=1.0, ge=0, description="weight of the distance to the peers' predictions"
    )
    sizes: Annotated[tuple[Annotated[int, Field(ge=8)], ...] | None, BeforeValidator(_split)] = (
        Field(
            default=None,
            min_length=1,
            description="sides of the images, in pixels, in equal shares of the epochs "
            "(progressive resizing); the last one is that of the model's input; null: "
            "data.image_size; only under overrides.teacher",
        )
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="stop after so many epochs without a better validation mAP, but not before the "
        "learning rate has fallen to a tenth of its peak: most of the gain comes then; null: never",
    )
    ema_decay: float = Field(
        default=0.997, ge=0, lt=1, description="decay of the exponential moving average of weights"
    )
    ema_warmup: bool = Field(default=True, description="whether the decay starts at 0 and grows")
    loss: Annotated[Choice, AfterValidator(partial(known_plugin, LOSSES))] = Choice(
        name="asymmetric"
    )
    reduction: Literal["mean", "sum"] = Field(
        default="mean", description="mean over the known states, or sum over batch and labels"
    )
    label_mask: LabelMaskOptions = LabelMaskOptions()
    splice: SpliceOptions = SpliceOptions()
    augmentation: AugmentationOptions = AugmentationOptions()
    normalise: bool = Field(
        default=True,
        description="by the backbone's mean and standard deviation; false: pixels in [0, 1]",
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        default="auto", description="auto: mixed precision on a GPU, 32 bits on the CPU"
    )
    compile: bool | Literal["auto"] = Field(
        default="auto",
        description="whether to use torch.compile; auto: in long trainings on a GPU",
    )
    devices: int = Field(
        default=1,
        ge=1,
        description="GPUs of one training, on a machine without one CPU cores: each batch is "
        "divided among as many processes, with the same result to rounding",
    )
    threads: int = Field(
        default=4, ge=1, description="CPU threads of one training, on each of its devices"
    )
    save_every_steps: int | None = Field(
        default=None,
        ge=1,
        description="save what a stopped training needs to continue after so many optimiser steps "
        "too; null: at the end of each epoch only",
    )
    overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="other values for baseline, teacher or student, except for augmentation",
    )

    @model_validator(mode="after")
    def _check_sharpness(self) -> Self:
        if self.sharpness_radius and self.accumulation > 1:
            raise ValueError("sharpness_radius needs accumulation: 1, because it repeats one batch")
        return self

    @model_validator(mode="after")
    def _check_devices(self) -> Self:
        if self.devices > self.batch_size:
            raise ValueError(
                f"devices: {self.devices} must not exceed batch_size: {self.batch_size}, because "
                "each batch is divided among them"
            )
        return self

    @model_validator(mode="after")
    def _check_overrides(self) -> Self:
        if unknown := set(self.overrides) - set(ROLES):
            raise ValueError(f"overrides: unknown role '{min(unknown)}'; known are {ROLES}")
        for role, own in self.overrides.items():
            if forbidden := [name for name in SHARED if name in own]:
                raise ValueError(
                    f"overrides.{role}: '{forbidden[0]}' must be the same for all roles"
                )
            # A wrong override must fail before the run, not when its training starts.
            try:
                self.for_role(role)
            except ValidationError as error:
                mistakes = [
                    f"overrides.{'.'.join(map(str, (role, *e['loc'])))}: {e['msg']}"
                    for e in error.errors()
                ]
                raise ValueError("; ".join(mistakes)) from None
        return self

    @property
    def passes(self) -> float:
        """Training passes over the images, spliced ones and forward passes for peers included.

        Examples
        --------
        >>> TrainingOptions(epochs=9, batch_size=8, learning_rate=1e-3, peers=1).passes
        24.0
        """
        return self.epochs * (1 + self.splice.share) * (1 + self.peers) * (1 + self.peers / 3)

    def size_at(self, epoch: int) -> int | None:
        """Side of the training images in an epoch, counted from 1; None: data.image_size.

        Examples
        --------
        >>> options = TrainingOptions(epochs=6, batch_size=8, learning_rate=1e-3, sizes=(64, 96))
        >>> [options.size_at(epoch) for epoch in range(1, 7)]
        [64, 64, 64, 96, 96, 96]
        """
        if self.sizes is None:
            return None
        return self.sizes[len(self.sizes) * (epoch - 1) // self.epochs]

    def pixels(self, image_size: int) -> tuple[float, float]:
        """Pixels of an image in training, on average, and in prediction, divided by the usual.

        Examples
        --------
        >>> options = TrainingOptions(epochs=2, batch_size=8, learning_rate=1e-3, sizes=(32, 64))
        >>> options.pixels(image_size=64)
        (0.625, 1.0)
        """
        if self.sizes is None:
            return 1.0, 1.0
        sides = [self.size_at(epoch) or image_size for epoch in range(1, self.epochs + 1)]
        shares = [(side / image_size) ** 2 for side in sides]
        return sum(shares) / len(shares), shares[-1]

    def for_role(self, role: str) -> TrainingOptions:
        """Options of baseline, teacher or student, with the role's overrides applied.

        Examples
        --------
        >>> base = TrainingOptions(
        ...     epochs=9, batch_size=8, learning_rate=1e-3, overrides={"student": {"epochs": 12}}
        ... )
        >>> base.for_role("student").epochs, base.for_role("teacher").epochs
        (12, 9)
        """
        factors = {"teacher": self.teacher_epoch_factor, "student": self.student_epoch_factor}
        common = self.model_dump(
            exclude={"overrides", *(f"{name}_epoch_factor" for name in factors)}
        )
        # a small factor must not leave a role without training
        common["epochs"] = max(round(factors.get(role, 1) * self.epochs), 1)
        return TrainingOptions(**{**common, **self.overrides.get(role, {})})
