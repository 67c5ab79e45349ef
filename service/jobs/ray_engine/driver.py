"""The job of a comparison whose work is done on a Ray cluster: `service.jobs.job_process` with other hands."""

import argparse
import json
import os
import sys
from functools import partial
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lm.model_identity import model_identity
from service.jobs.job import Identify, JobEnd
from service.jobs.job_process import NICENESS, job_process
from service.jobs.job_watch import JobWatch
from service.jobs.ray_engine.cluster import Cluster, own_error
from service.jobs.ray_engine.composition import RayComposition
from service.jobs.ray_engine.ray_settings import RaySettings
from service.jobs.ray_engine.worker import ComposeOnNode, compose_on_node
from service.run.arm import Compose
from service.safety.endpoint_guard import guard_process


def driver_process(compose: ComposeOnNode, identify_model: Identify, arguments: list[str]) -> int:
    """The life of such a process; its exit code.

    Args:
        identify_model: Run on a node, which has the model.
    """
    parser = argparse.ArgumentParser(prog="python -m service.jobs.ray_engine.driver")
    parser.add_argument("--ray-address", required=True)
    parser.add_argument("--ray-resources", type=json.loads, default={})
    given, rest = parser.parse_known_args(arguments)
    settings = RaySettings(given.ray_address, given.ray_resources)

    def hands(comparison_id: str, watch: JobWatch) -> tuple[Compose, Identify]:
        cluster = Cluster(settings, watch.look)
        make = partial(RayComposition, comparison_id, cluster=cluster, compose=compose)

        def identify(spec: str, revision: str | None) -> str:
            cluster.connect()
            return identify_on_node(cluster, identify_model, spec, revision)

        return make, identify

    return job_process(hands, rest)


def identify_on_node(cluster: Cluster, identify_model: Identify, spec: str, revision: str | None) -> str:
    """Which model a spec names on a node where it could answer; whatever is busy there."""
    options: dict[str, Any] = {"num_cpus": 0}
    for node in [*cluster.n_fitting(cluster.resources("answer", spec))][:1]:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=True)
    reference = ray.remote(identify_model).options(**options).remote(spec, revision)
    cluster.wait([reference], lambda: None)
    try:
        identity: str = ray.get(reference)
    except ray.exceptions.RayError as error:
        raise own_error(error) from error
    return identity


def main() -> None:
    """Run the comparison that was named, with real models."""
    os.nice(NICENESS)
    guard_process()
    end_process(driver_process(compose_on_node, model_identity, sys.argv[1:]))


def end_process(code: int) -> None:
    """Leave at once where the cluster may be away, for which Ray would wait; otherwise in order."""
    if code == JobEnd.INTERRUPTED:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
