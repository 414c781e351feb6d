"""What all typed parameters have in common."""

from pydantic import BaseModel, ConfigDict

__all__ = ["StrictModel"]


class StrictModel(BaseModel):
    """A frozen record of checked values that refuses unknown keys.

    Its validator is made when it is first needed: most commands need few of them.

    Examples
    --------
    >>> class Size(StrictModel):
    ...     side: int
    >>> Size(side="3")
    Size(side=3)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
