"""The attacks: what each is made with, and what must hold besides the bounds of all."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.strangers.attacks import bodies, connections, keys, models, overload, page, storage
from benchmarks.strangers.endpoint import HOSTILE
from benchmarks.strangers.target import UNANSWERED, Attack, Target
from service.contract.client import ServiceClient
from tests.chaos.workplace import dataset_of

REFUSED = frozenset({UNANSWERED, 400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 429, 431, 503})
TAKEN = REFUSED | {200, 201, 202, 204}
HOSTS_FAIL = TAKEN | {502, 504}
ANSWERED = frozenset({200})
PUT_OFF = frozenset({200, 503})


@dataclass(frozen=True)
class Row:
    """One attack.

    Attributes:
        may_hear: Statuses that the strangers may get. caller_may_hear: the caller.
        models: Which hostile models have been compared before, so that arms at them are served.
        page: Whether the service has one; the caller then opens it, too.
        postgres: Whether its database is a server of its own.
        has_ratio: Whether the caller's p99 is bound by that without the attack.
        least_s: For how long the caller is measured at least.
        must_end: Whether the strangers wait for something after the attack, before the service is stopped.
        prepare: Makes further things there that the attack needs, before anything is measured; their ids by name.
    """

    name: str
    attack: Attack
    may_hear: frozenset[int] = TAKEN
    caller_may_hear: frozenset[int] = ANSWERED
    models: tuple[str, ...] = ()
    page: bool = False
    postgres: bool = False
    has_ratio: bool = True
    least_s: float = 0.0
    prepare: Callable[[Target], dict[str, str]] = lambda _: {}
    must_end: bool = False


def _waiting(target: Target) -> dict[str, str]:
    """A comparison that waits behind others which will not end soon."""
    request = {"dataset": target.ids["dataset"], "model": f"openai:trickle@{target.endpoint}", "arms": ["base"]}
    with ServiceClient(f"http://127.0.0.1:{target.port}", target.keys["runner"]) as client:
        if "trickle" not in target.ids:
            client.upload_dataset(dataset_of(40))
        running, *_, waiting = [client.create_comparison(request).id for _ in range(3)]
        while client.get_comparison(running).state != "running":
            time.sleep(0.2)
    return {"waiting": waiting}


def _strangers_dataset(target: Target) -> dict[str, str]:
    with ServiceClient(f"http://127.0.0.1:{target.port}", target.keys["runner"]) as client:
        client.upload_dataset(dataset_of(40))
    return {}


def _large_datasets(target: Target) -> dict[str, str]:
    """Two datasets of 100,000 questions."""
    with ServiceClient(f"http://127.0.0.1:{target.port}", target.keys["runner"], timeout_s=400) as client:
        return {f"large {i}": client.upload_dataset(bodies.many_questions(100_000)).version for i in range(2)}


def _large(target: Target) -> dict[str, str]:
    """A finished comparison whose results take 4 MB."""
    answers = "\n".join(json.dumps({"id": f"t{i}", "text": "a" * 19_000}) for i in range(200))
    with ServiceClient(f"http://127.0.0.1:{target.port}", target.keys["runner"]) as client:
        version = client.upload_dataset(dataset_of(200)).version
        arms = ["own=answers:a.jsonl"]
        made = client.create_comparison({"dataset": version, "arms": arms, "files": {"a.jsonl": answers}})
        done = client.wait_for_comparison(made.id, timeout_s=120)
        assert done.state == "succeeded", done.error
    return {"large": made.id}


ROWS = (
    Row("page-foreign", page.foreign, may_hear=frozenset({UNANSWERED, 403}), page=True),
    Row("page-flood", page.flood, page=True),
    Row("page-killed", page.killed, page=True, caller_may_hear=frozenset({UNANSWERED, 200})),
    Row("near-duplicates", bodies.near_duplicates),
    Row("archives", bodies.archives),
    Row("json", bodies.json_bodies),
    Row("schemas", bodies.schemas, prepare=_strangers_dataset),
    Row("blobs", bodies.blobs),
    Row("large-datasets", bodies.large_datasets, prepare=_large_datasets, least_s=30),
    Row("idempotency-keys", bodies.many_keys, prepare=_strangers_dataset),
    Row("models-compared", models.compared, prepare=_strangers_dataset, least_s=45),
    Row("models-served", models.served, models=HOSTILE, may_hear=HOSTS_FAIL, least_s=45),
    Row("heads", connections.large_heads),
    Row("half-open", connections.half_open, least_s=15),
    Row("silent", connections.silent, least_s=15),
    Row("slow-bodies", connections.slow_bodies, least_s=15),
    Row("slow-readers", connections.slow_readers, prepare=_large, least_s=15),
    Row("malformed", connections.malformed, may_hear=TAKEN),
    Row("hosts", connections.hosts, may_hear=REFUSED),
    Row("addresses", keys.addresses, prepare=_strangers_dataset),
    Row("other-workspace", keys.others, models=()),
    Row("revoked", keys.revoked, models=("trickle",), prepare=_waiting, least_s=20),
    Row("event-streams", keys.event_streams, prepare=_waiting, least_s=15),
    Row("long-waits", keys.long_waits, prepare=_waiting, least_s=15),
    Row("damaged", storage.damaged),
    Row("escaped", storage.escaped),
    Row(
        "sqlite-locked", storage.sqlite_locked, prepare=_strangers_dataset,
        caller_may_hear=PUT_OFF, has_ratio=False, least_s=100,
    ),
    Row(
        "postgres-stalled", storage.postgres_stalled, prepare=_strangers_dataset,
        postgres=True, caller_may_hear=PUT_OFF, has_ratio=False, least_s=110,
    ),
    # The caller's own key overloads the service.
    Row("overload", overload.overload, caller_may_hear=PUT_OFF | {429}, has_ratio=False, least_s=315, must_end=True),
)  # fmt: skip
