"""Why a question cannot be answered now."""

from lm.errors import TuningForkError


class NoSuchPipelineError(TuningForkError):
    """The comparison has no arm of that kind."""


class NotServableError(TuningForkError):
    """The arms of a comparison cannot be opened: it has no result, or what it was built of is gone or has changed."""


class TooBusyError(TuningForkError):
    """As many questions wait as may wait.

    Attributes:
        retry_after_s: When there should be room.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClosingError(TuningForkError):
    """The service is being stopped."""


class AnswerTimeoutError(TuningForkError):
    """No answer came in the time that a question may take."""


class EndpointFailedError(TuningForkError):
    """The hosted model, or the hosted embedder, that was asked is down or broken; the question may be fine."""


class EndpointTimeoutError(EndpointFailedError):
    """It did not answer in time."""
