"""Errors of retrieval; the whole tree is drawn in `lm.errors`."""

from lm.errors import TuningForkError


class IndexingError(TuningForkError):
    """Documents cannot be embedded, or an index cannot be built, opened or searched."""


class DamagedIndexError(IndexingError):
    """An index on disk is not what was written; building it again mends it."""
