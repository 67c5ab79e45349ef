"""`Arms` in a process of their own: what a model does to it, or its memory, is not done to the service.

`python -m service.serving.arms_process SOCKET` is such a process. Both sides write lines of JSON to a pair of sockets
that nobody else has. A request has a number, which its replies repeat: `piece` any number of times, then `result` or
`error`.
"""

import importlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from advisor.money.prices import PriceList
from advisor.results.answer import Answer
from advisor.results.json_report import json_report, read_comparison
from advisor.results.plain_data import from_json, from_plain, to_json, to_plain
from lm.completion import GenerationConfig
from lm.errors import TuningForkError
from service.json_log import is_secret, log_as_json
from service.run.process_limits import die_with_parent, limit_memory, memory_overrun, needed_secrets
from service.run.settings import ComparisonSettings
from service.safety.endpoint_guard import guard_process
from service.serving.arms import Arms
from service.serving.errors import ArmGoneError, ArmsMemoryError
from service.serving.limits import ServingLimits
from service.serving.model_trial import ModelTrial
from service.serving.servable import ArmFacts, Servable
from service.standing import leave_out_what_stands
from service.store.data_directory import DataDirectory

_LOADING_S = 3600.0
"""For what loads or converts weights, or builds an index again."""

_HUNG_AFTER = 3
"""Times as long as callers wait: a batch that takes longer has no callers left, and will not end."""

_ENDING_S = 3.0
_MEMORY_SHARE = 0.8
_THREADS = 64
"""More than there are batches at a time."""

_NOT_PASSED_ON = ("TUNING_FORK_DATABASE_", "PG")
"""The process knows no database."""

_LET_GO = "the service let it go"
_OWN_PACKAGES = ("lm.", "advisor.", "rag.", "finetune.", "service.")
_LOG = logging.getLogger("tuning_fork.serving")


class ArmsProcess:
    """Does what `Arms` does, in a process that lives from now to `end`, or until something ends it.

    Errors are those of `Arms`; besides:
        ArmGoneError: the process ended, was killed, or hung and was killed.
        ArmsMemoryError: it needed more memory than it may have; it ends.

    Args:
        memory_bytes: That it may allocate; 0 for four fifths of the machine's.
    """

    def __init__(self, directory: DataDirectory, limits: ServingLimits, memory_bytes: int = 0) -> None:
        machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._hung_after_s = _HUNG_AFTER * limits.timeout_s
        self._ours, self._theirs = socket.socketpair()
        self._numbers = count()
        self._replies: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._why = self._end = ""
        self._guard = threading.Lock()
        self._sending = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        memory_bytes = memory_bytes or int(_MEMORY_SHARE * machine_bytes)
        about = {"home": str(directory.root), "timeout_s": limits.timeout_s, "memory_bytes": memory_bytes}
        self._tell(about | {"parent_pid": os.getpid()})
        # The process dies with the thread that started it, which is therefore one that stays.
        self._living = threading.Thread(target=self._live, name="arms", daemon=True)
        self._living.start()

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended, and with it whatever was open there."""
        return self._end != ""

    def open(self, servable: Servable, kind: str) -> ArmFacts:
        """As `Arms.open`."""
        return from_plain(ArmFacts, self._ask("open", _LOADING_S, servable=_sent(servable), kind=kind))

    def answer(
        self, comparison_id: str, kind: str, generation: GenerationConfig, questions: Sequence[str]
    ) -> list[Answer]:
        """As `Arms.answer`."""
        arm = {"comparison_id": comparison_id, "kind": kind, "generation": to_plain(generation)}
        answers = self._ask("answer", self._hung_after_s, questions=list(questions), **arm)
        return [from_plain(Answer, answer) for answer in answers]

    def stream(
        self, comparison_id: str, kind: str, generation: GenerationConfig, question: str
    ) -> Generator[str, None, Answer]:
        """As `Arms.stream`."""
        arm = {"comparison_id": comparison_id, "kind": kind, "generation": to_plain(generation)}
        number = self._send("stream", question=question, **arm)
        deadline = time.monotonic() + self._hung_after_s
        try:
            while "piece" in (reply := self._reply(number, deadline)):
                yield reply["piece"]
            return from_plain(Answer, _result(reply))
        except GeneratorExit:
            self._tell({"cancelled": number})
            with suppress(ArmGoneError):
                while "piece" in self._reply(number, deadline):
                    pass
            raise

    def close(self, comparison_id: str) -> None:
        """As `Arms.close`."""
        with suppress(ArmGoneError):
            self._ask("close", self._hung_after_s, comparison_id=comparison_id)

    def hand_over(self, servable: Servable, kind: str, target: str, folder: Path) -> str:
        """As `Arms.hand_over`."""
        sent = _sent(servable)
        return str(self._ask("hand_over", _LOADING_S, servable=sent, kind=kind, target=target, folder=str(folder)))

    def try_model(self, spec: str) -> ModelTrial:
        """As `Arms.try_model`."""
        return from_plain(ModelTrial, self._ask("try_model", _LOADING_S, spec=spec))

    def end(self) -> None:
        """End it, whatever it does; what it can release in time it does."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_WR)
        self._living.join(_ENDING_S)
        self._kill(_LET_GO)
        self._living.join()

    def _ask(self, do: str, timeout_s: float, **what: Any) -> Any:
        number = self._send(do, **what)
        return _result(self._reply(number, time.monotonic() + timeout_s))

    def _send(self, do: str, **what: Any) -> int:
        number = next(self._numbers)
        with self._guard:
            if self.is_gone:
                raise self._gone()
            self._replies[number] = queue.SimpleQueue()
        self._tell({"number": number, "do": do, **what})
        return number

    def _tell(self, message: Mapping[str, Any]) -> None:
        """Whoever waits for a reply is told where there is nobody any more."""
        with self._sending, suppress(OSError):
            self._ours.sendall(to_json(message).encode() + b"\n")

    def _reply(self, number: int, deadline: float) -> dict[str, Any]:
        """The next reply to a request; if none comes in time, the process is ended."""
        replies = self._replies[number]
        try:
            reply = replies.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            self._kill("it hung")
            reply = replies.get()
        if "piece" not in reply:
            del self._replies[number]
        if not reply:
            raise self._gone()
        return reply

    def _gone(self) -> ArmGoneError:
        return ArmGoneError(
            f"the process of the model ended ({self._end}), and is started anew when you ask again. If this goes on, "
            "memory may be short: take a smaller model, or have --serving-memory-gb or the machine's memory raised"
        )

    def _kill(self, why: str) -> None:
        self._why = why
        if self._process is not None:
            self._process.kill()

    def _live(self) -> None:
        end = "it could not be started"
        try:
            with self._theirs:
                descriptor = self._theirs.fileno()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "service.serving.arms_process", str(descriptor)],
                    # Keys come with the comparisons that need them.
                    env={
                        name: value
                        for name, value in os.environ.items()
                        if not is_secret(name) and not name.startswith(_NOT_PASSED_ON)
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[descriptor],
                )
            with suppress(OSError):
                for line in self._ours.makefile("rb"):
                    reply = from_json(line)
                    self._replies[reply.pop("number")].put(reply)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
            self._process.kill()
            code = self._process.wait()
            end = self._why or (signal.Signals(-code).name if code < 0 else f"exit code {code}")
            if end != _LET_GO and code:
                _LOG.error("the process of the served models ended (%s); the next question starts another", end)
        finally:
            with self._sending:
                self._ours.close()
            with self._guard:
                self._end = end
                for replies in self._replies.values():
                    replies.put({})


def _sent(servable: Servable) -> dict[str, Any]:
    settings = servable.settings.to_json()
    return {
        "id": servable.id,
        "settings": settings,
        "prices": to_plain(servable.prices),
        "report": json_report(servable.report),
        "model_identity": servable.model_identity,
        "secrets": {name: os.environ[name] for name in needed_secrets(settings, os.environ) if name in os.environ},
    }


def _received(sent: Mapping[str, Any]) -> Servable:
    os.environ.update(sent["secrets"])
    # No key that the process knows is written to a log.
    log_as_json()
    return Servable(
        sent["id"],
        ComparisonSettings.from_json(sent["settings"]),
        from_plain(PriceList, sent["prices"]),
        read_comparison(sent["report"]),
        sent["model_identity"],
    )


def _told(error: BaseException) -> dict[str, Any]:
    """An error as it is sent; one that nobody foresaw is written to the log."""
    if (overrun := memory_overrun(error, "served models", "--serving-memory-gb")) is not None:
        error = ArmsMemoryError(f"the model cannot answer: {overrun}")
    if not isinstance(error, TuningForkError):
        _LOG.error("an internal error", exc_info=error)
        return {"module": "", "kind": "", "text": f"{type(error).__name__}: {error}", "retry_after_s": None}
    kind = type(error)
    return {"module": kind.__module__, "kind": kind.__name__, "text": str(error), "retry_after_s": error.retry_after_s}


def _result(reply: Mapping[str, Any]) -> Any:
    """The result; an error is raised as it was there."""
    if (told := reply.get("error")) is None:
        return reply["result"]
    kind: Any = RuntimeError
    if told["module"].startswith(_OWN_PACKAGES):
        kind = getattr(importlib.import_module(told["module"]), told["kind"])
    # Some are made of more than their text.
    error = kind.__new__(kind, told["text"])
    if told["retry_after_s"] is not None:
        error.retry_after_s = told["retry_after_s"]
    raise error


class _Desk:
    """Takes the requests of the service, and answers each in a thread."""

    def __init__(self, arms: Arms, channel: socket.socket) -> None:
        self._arms = arms
        self._channel = channel
        self._sending = threading.Lock()
        self._cancelled: set[int] = set()

    def take(self, number: int, do: str, **what: Any) -> None:
        """Answer a request."""
        try:
            for name, read in _READ.items():
                if name in what:
                    what[name] = read(what[name])
            result = self._streamed(number, **what) if do == "stream" else getattr(self._arms, do)(**what)
            self._reply(number, {"result": to_plain(result)})
        except BaseException as error:
            told = _told(error)
            self._reply(number, {"error": told})
            if told["kind"] == ArmsMemoryError.__name__:
                # What fills the memory goes with the process.
                _LOG.error("%s", told["text"])
                os._exit(1)

    def cancel(self, number: int) -> None:
        """End a stream at its next piece."""
        self._cancelled.add(number)

    def _streamed(self, number: int, **what: Any) -> Answer | None:
        pieces = self._arms.stream(**what)
        try:
            while number not in self._cancelled:
                self._reply(number, {"piece": next(pieces)})
            return None
        except StopIteration as ended:
            answer: Answer = ended.value
            return answer
        finally:
            self._cancelled.discard(number)
            pieces.close()

    def _reply(self, number: int, reply: Mapping[str, Any]) -> None:
        with self._sending, suppress(OSError):
            self._channel.sendall(to_json({"number": number, **reply}).encode() + b"\n")


_READ: Mapping[str, Callable[[Any], Any]] = {
    "servable": _received,
    "generation": partial(from_plain, GenerationConfig),
    "folder": Path,
}


def main() -> None:
    """Open and ask arms until the service ends."""
    # Signals reach the whole group; the service decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    lines = channel.makefile("rb")
    about = from_json(next(lines))
    die_with_parent(about["parent_pid"])
    limit_memory(about["memory_bytes"])
    log_as_json()
    # Callers of the service named the models.
    guard_process()
    arms = Arms(DataDirectory(Path(about["home"])), ServingLimits(timeout_s=about["timeout_s"]))
    # Not what is opened: the memory of a model is given back.
    leave_out_what_stands()
    desk, pool = _Desk(arms, channel), ThreadPoolExecutor(_THREADS)
    for line in lines:
        request = from_json(line)
        if "cancelled" in request:
            desk.cancel(request["cancelled"])
        else:
            pool.submit(desk.take, **request)
    arms.end()


if __name__ == "__main__":
    try:
        main()
    except Exception:
        _LOG.exception("an internal error")
        os._exit(1)
    # Threads that still generate are not waited for.
    os._exit(0)
