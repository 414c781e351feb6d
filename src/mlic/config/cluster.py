"""Parameters of a run on several machines; see `mlic.runners.RayRunner`."""

from typing import Self

from pydantic import Field, model_validator

from mlic.utils.strict_model import StrictModel

__all__ = ["RayOptions"]

_NO_FOLDER = "it is an address, not a folder; copies are made from ray.storage to a folder"


class RayOptions(StrictModel):
    """Where the nodes of a run with `RayRunner` run, and how the data get there.

    Examples
    --------
    >>> RayOptions(num_gpus=0.5).num_gpus
    0.5
    """

    address: str | None = Field(
        default=None,
        min_length=1,
        description="address of a Ray cluster; null: RAY_ADDRESS, else this machine alone",
    )
    num_gpus: float | None = Field(
        default=None,
        ge=0,
        description="GPUs of each node that uses a model, or a part; null: training.devices",
    )
    num_cpus: float | None = Field(
        default=None,
        gt=0,
        description="processors of each node that uses a model; null: training.threads",
    )
    retries: int = Field(
        default=3, ge=0, description="further tries of a node whose machine or process is lost"
    )
    storage: str | None = Field(
        default=None,
        min_length=1,
        description="address of a folder, such as s3://bucket/mlic, through which data pass; null: "
        "every machine has data_folder itself",
    )
    copies: str | None = Field(
        default=None,
        description="folder of each machine for copies of ray.storage; null: its temporary folder",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_gpus is not None and self.num_gpus > 1 and self.num_gpus % 1:
            raise ValueError(f"num_gpus: {self.num_gpus} is above 1 but not whole")
        if self.copies is not None and "://" in self.copies:
            raise ValueError(f"copies: {self.copies}: {_NO_FOLDER}")
        return self
