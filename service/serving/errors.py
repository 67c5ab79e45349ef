"""Why a question cannot be answered now."""

from lm.errors import ErrorKind, TuningForkError


class NoSuchPipelineError(TuningForkError):
    """The comparison has no arm of that kind."""

    kind = ErrorKind.NOT_FOUND
    title = "No such pipeline"


class NotServableError(TuningForkError):
    """The arms of a comparison cannot be opened: it has no result, or what it was built of is gone or has changed."""

    kind = ErrorKind.CONFLICT
    title = "Cannot be asked"


class TooBusyError(TuningForkError):
    """As many questions wait as may wait.

    Attributes:
        retry_after_s: When there should be room.
    """

    kind = ErrorKind.TOO_MANY
    title = "Too many questions wait"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClosingError(TuningForkError):
    """The service is being stopped."""

    kind = ErrorKind.UNAVAILABLE
    title = "Not answered in time"
    retry_after_s = 10


class AnswerTimeoutError(TuningForkError):
    """No answer came in the time that a question may take."""

    kind = ErrorKind.UNAVAILABLE
    title = "Not answered in time"
    retry_after_s = 10


class ArmGoneError(TuningForkError):
    """The process of the arms ended while it worked on a question, or before."""

    kind = ErrorKind.UNAVAILABLE
    title = "Not answered"
    retry_after_s = 5


class ArmsMemoryError(TuningForkError):
    """The process of the arms needed more memory than it may have."""

    kind = ErrorKind.UNAVAILABLE
    title = "Too little memory"
    retry_after_s = 60


class EndpointFailedError(TuningForkError):
    """The hosted model, or the hosted embedder, that was asked is down or broken; the question may be fine."""

    kind = ErrorKind.UPSTREAM_FAILED
    title = "Endpoint failed"


class EndpointTimeoutError(EndpointFailedError):
    """It did not answer in time."""

    kind = ErrorKind.UPSTREAM_TIMED_OUT
    title = "Endpoint did not answer"
