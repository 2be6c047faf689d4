"""What every part of a product spec has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Percent to two decimals: the gateway splits by ten-thousandths.
Percent = Annotated[float, Field(gt=0, le=100, multiple_of=0.01)]


class Section(BaseModel):
    """A part of a product spec: strict, frozen, and closed to fields that nobody knows and numbers that are none."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
