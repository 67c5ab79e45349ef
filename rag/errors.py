"""Errors of retrieval; the whole tree is drawn in `lm.errors`."""

from lm.errors import TuningForkError


class IndexingError(TuningForkError):
    """Documents cannot be embedded, or an index cannot be built, opened or searched."""
