"""A connection to Postgres on which nothing is waited for without end: a server may stall and keep its sockets open."""

import time
from typing import Any

import psycopg


class ImpatientConnection(psycopg.Connection[Any]):
    """Closes itself where the server does not reply in time; what it was asked for may have happened or not.

    Attributes:
        patience_s: For each reply.
    """

    patience_s: float = 60.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """The result of a conversation with the server.

        Raises:
            OperationalError: it took longer than `patience_s`.
        """
        started = time.monotonic()
        try:
            return super().wait(gen, interval, timeout=self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is not None or time.monotonic() - started < self.patience_s:
                raise
            # What was asked for may still be under way, so nothing else can be asked on it.
            self.close()
            raise psycopg.OperationalError(f"the server did not reply within {self.patience_s:g} s") from error
