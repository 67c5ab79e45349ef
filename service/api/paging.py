"""Whole numbers in addresses, and the two that page through a list."""

import re
from typing import Annotated, Any

from fastapi import Query
from pydantic import BeforeValidator


def _in_digits(value: Any) -> Any:
    """Pydantic would take "0.0" and "1_000" for whole numbers too, which the API's description does not allow."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("give a whole number, in digits alone")
    return value


Whole = Annotated[int, BeforeValidator(_in_digits)]
Offset = Annotated[Whole, Query(ge=0, le=1_000_000_000)]
