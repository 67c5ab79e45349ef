"""Telling a hosted model that fails from a question that cannot be answered."""

from collections.abc import Iterator

from lm.errors import LanguageModelError, TuningForkError
from service.safety.endpoint_guard import EndpointRefusedError
from service.serving.errors import AnswerTimeoutError, EndpointFailedError, EndpointTimeoutError

_CLIENT_LIBRARIES = ("openai", "httpx2")
_ABOUT_THE_QUESTION = (400, 413, 422)
_REMEDIES = {
    401: "it refused the service's key; the operator sets it in the environment",
    403: "it refused the service's key; the operator sets it in the environment",
    404: "it does not know the model, or the address is wrong; start the model there, or compare with another one",
    408: "try again later",
    429: "its rate limit or quota is used up; wait, or raise the quota",
}


def endpoint_failure(error: TuningForkError, hosted_model: str | None) -> EndpointFailedError | None:
    """What to tell where an endpoint is down, late or broken; None where the failure is another one.

    What an endpoint sends as an explanation is not repeated: nobody knows what is in it.

    Args:
        hosted_model: Name of the model that was asked, if it is a hosted one.
    """
    if isinstance(error, AnswerTimeoutError):
        return EndpointTimeoutError(f"{hosted_model} is late: {error}") if hosted_model else None
    causes = list(_causes(error))
    if any(isinstance(cause, EndpointRefusedError) for cause in causes):
        return None
    # Importing these takes half a second; where one of them was raised they are imported already.
    told = [cause for cause in causes if type(cause).__module__.partition(".")[0] in _CLIENT_LIBRARIES]
    if told:
        return _explained(told[0])
    # It answered, but with no completion: a page of a proxy, perhaps.
    return EndpointFailedError(str(error)) if hosted_model and isinstance(error, LanguageModelError) else None


def _explained(cause: BaseException) -> EndpointFailedError | None:
    import httpx2
    import openai

    where = f"the endpoint {_address(cause)}"
    match cause:
        case openai.APIStatusError(status_code=status) if status in _ABOUT_THE_QUESTION:
            return None
        case openai.APIStatusError(status_code=status):
            remedy = _REMEDIES.get(status, "see what it logs, or try again later")
            kind = EndpointTimeoutError if status in (408, 504) else EndpointFailedError
            return kind(f"{where} failed (HTTP {status}): {remedy}")
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return EndpointTimeoutError(f"{where} did not answer in time; see whether it is overloaded, or try again")
        case openai.APIConnectionError():
            reason = f" ({cause.__cause__})" if cause.__cause__ is not None else ""
            return EndpointFailedError(f"{where} cannot be reached{reason}; start it, or try again later")
        case _:
            return EndpointFailedError(f"{where} broke off or sent what cannot be read; see what it logs, or try again")


def _address(cause: BaseException) -> str:
    """Without user, password and query, where keys may be."""
    try:
        url = cause.request.url  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):
        return "of the model"
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
