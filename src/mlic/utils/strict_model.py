"""The base class of all typed parameters."""

from pydantic import BaseModel, ConfigDict

__all__ = ["StrictModel"]


class StrictModel(BaseModel):
    """A frozen record of checked values that refuses unknown keys.

    Examples
    --------
    >>> class Size(StrictModel):
    ...     side: int
    >>> Size(side="3")
    Size(side=3)
    """

    # Building a validator takes milliseconds, and most commands need few of them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
