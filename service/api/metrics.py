"""What Prometheus reads of the service."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select

from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import count_by_state
from service.store.tables import answer_blocks

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts of one process, and gauges read from the database when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tuning_fork_requests",
            "Requests by method, route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "tuning_fork_request_seconds",
            "Time until a request was answered in full, streams included.",
            ["method", "route"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=self._registry,
        )
        self._answers = Counter(
            "tuning_fork_answers",
            "Questions answered on request, by arm; those of comparisons are not among them.",
            ["arm"],
            registry=self._registry,
        )
        self._registry.register(_Stored(engine))

    def count_request(self, method: str, route: str, status: int, took_s: float) -> None:
        """Add one request."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)

    def count_answers(self, arm: str, n: int = 1) -> None:
        """Add questions answered on request."""
        self._answers.labels(arm).inc(n)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Stored(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterator[Metric]:
        """Nothing: the database need not be there yet when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the gauges."""
        states = count_by_state(self._engine)
        family = GaugeMetricFamily("tuning_fork_comparisons", "Comparisons by state.", labels=["state"])
        for state, n in states.items():
            family.add_metric([state], n)
        yield family
        queued = states[ComparisonState.QUEUED]
        yield GaugeMetricFamily("tuning_fork_queue_length", "Comparisons that wait.", value=queued)
        with self._engine.connect() as connection:
            blocks = connection.execute(select(func.count()).select_from(answer_blocks)).scalar_one()
        yield GaugeMetricFamily("tuning_fork_answer_blocks", "Blocks of answers stored by comparisons.", value=blocks)
