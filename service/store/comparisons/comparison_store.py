"""Comparisons as rows: created once a request, listed, cancelled, resumed, deleted."""

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from advisor.arms import parse_arm
from lm.errors import ErrorKind, TuningForkError
from lm.files import sha256
from service.contract.comparison_state import ComparisonState
from service.contract.settings import resolve
from service.store.comparisons.events import append_event
from service.store.database import undamaged, writing
from service.store.tables import IS_COMPARISON, baselines, comparisons, deployments, report_files
from service.store.workspaces import EVERY_WORKSPACE

__all__ = ["ComparisonState"]

_IN_PROGRESS = (ComparisonState.QUEUED, ComparisonState.RUNNING)
SENT_FILES = PRICE_LIST, PRIOR_ANSWERS, ARM_FILES = "price_list", "prior_answers", "arm_files"
"""Settings that hold what a caller sent in place of files."""

_SENT = "sent:"
"""Before the hash of what was sent; rows of earlier versions have hashes of more."""

_QUEUE_LOCK = 0x74756E66


class ComparisonNotFoundError(TuningForkError):
    """There is no comparison of that id."""

    kind = ErrorKind.NOT_FOUND
    title = "No such comparison"


class ComparisonConflictError(TuningForkError):
    """The comparison is not in a state in which this can be done."""

    kind = ErrorKind.CONFLICT
    title = "Not possible in this state"


class QueueFullError(TuningForkError):
    """As many comparisons wait as may wait."""

    kind = ErrorKind.TOO_MANY
    title = "Queue full"
    retry_after_s = 30


class IdempotencyKeyReusedError(TuningForkError):
    """The key was used for another request."""

    title = "Idempotency key reused"


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """One row.

    Attributes:
        dataset: Name of a bundled dataset, or version of an uploaded one.
        run_id: Of the measurement, once it has succeeded.
        made_by: Id of the key that pays for it; None where no key made it.
        settings: As `ComparisonSettings.to_json` gives them; where they were asked for also `price_list`,
            `prior_answers` and `arm_files` (texts by name), what a caller sent in place of files.
    """

    id: str
    name: str
    dataset: str
    settings: Mapping[str, Any]
    state: ComparisonState
    cancel_requested: bool
    error: str | None
    estimate: Mapping[str, Any] | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    run_id: str | None
    made_by: str | None

    @property
    def arms(self) -> tuple[str, ...]:
        """Its candidates, in the order of the report."""
        return tuple(parse_arm(arm).id for arm in self.settings.get("arms", self.settings.get("pipelines", ())))


def new_comparison_id(dataset_name: str) -> str:
    """The dataset's name, as far as an address can show it, and 64 random bits."""
    slug = re.sub(r"[^a-z0-9]+", "-", dataset_name.lower()).strip("-")[:40].strip("-")
    return f"{slug or 'comparison'}-{secrets.token_hex(8)}"


def request_hash(sent: Mapping[str, Any]) -> str:
    """236 bits of the SHA-256 of what a caller sent, whatever the order of its keys; no defaults are part of it."""
    digest = sha256(json.dumps(sent, ensure_ascii=True, sort_keys=True, separators=(",", ":")))
    # The column has room for 64 characters.
    return (_SENT + digest)[:64]


def find_by_idempotency_key(engine: Engine, key: str, request: Mapping[str, Any]) -> StoredComparison | None:
    """What an earlier request with that key made.

    Raises:
        IdempotencyKeyReusedError: it was another request.
    """
    with engine.connect() as connection:
        return _earlier(connection, key, request)


def create_comparison(
    engine: Engine,
    *,
    comparison_id: str,
    name: str,
    dataset: str,
    settings: Mapping[str, Any],
    estimate: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    request: Mapping[str, Any] | None = None,
    max_queued: int | None = None,
    files: Mapping[str, bytes] | None = None,
    made_by: str | None = None,
) -> tuple[StoredComparison, bool]:
    """A queued comparison, and whether it is new: the same idempotency key gives the one it made before.

    Args:
        files: What its job reads, by name; gone with the comparison.

    Raises:
        IdempotencyKeyReusedError: the key was used for another request.
        QueueFullError: `max_queued` comparisons wait already.
    """
    sent_files = {key: settings[key] for key in SENT_FILES if settings.get(key) is not None}
    row = {
        "id": comparison_id,
        "name": name,
        "dataset": dataset,
        "settings": json.dumps({key: value for key, value in settings.items() if key not in sent_files}),
        "sent_files": json.dumps(sent_files) if sent_files else None,
        "state": ComparisonState.QUEUED,
        "cancel_requested": False,
        "idempotency_key": idempotency_key,
        # Asked for by the key alone; to hash megabytes of answers takes a while.
        "request_sha256": request_hash(request) if idempotency_key is not None and request is not None else None,
        "estimate": json.dumps(estimate) if estimate is not None else None,
        "created_at": time.time(),
        "made_by": made_by,
    }
    try:
        with writing(engine) as connection:
            _lock_queue(connection, max_queued)
            if idempotency_key is not None and (earlier := _earlier(connection, idempotency_key, request or {})):
                return earlier, False
            _refuse_full_queue(connection, max_queued)
            connection.execute(insert(comparisons).values(**row))
            keep_files(connection, comparison_id, files or {})
            append_event(connection, comparison_id, "state", {"state": ComparisonState.QUEUED})
            return _read(connection, comparison_id), True
    except IntegrityError:
        # Two requests with one key may both find nothing; the database lets one of them in.
        with engine.connect() as connection:
            if idempotency_key is not None and (earlier := _earlier(connection, idempotency_key, request or {})):
                return earlier, False
        raise


def find_comparison(engine: Engine, comparison_id: str, *, sent_files: bool = False) -> StoredComparison:
    """The comparison of that id.

    Args:
        sent_files: Whether to read what a caller sent in place of files, which may be megabytes.
    Raises:
        ComparisonNotFoundError: there is none.
    """
    with engine.connect() as connection:
        return _read(connection, comparison_id, sent_files=sent_files)


_UNLISTED = ("sent_files", "estimate", "workspace", "made_by")
"""What lists do not need: large, or in a row of SQLite behind what is."""


def list_comparisons(
    engine: Engine,
    *,
    state: ComparisonState | None = None,
    dataset: str | None = None,
    limit: int = 50,
    offset: int = 0,
    side_run: str = "",
    settings: Mapping[str, Any] | None = None,
) -> tuple[list[StoredComparison], int]:
    """A page of comparisons, the newest first, and how many there are in all.

    Estimates, sent files and who pays are left out.

    Args:
        side_run: Side runs instead, whose ids begin with this.
        settings: Only those with exactly these.
    """
    conditions = [comparisons.c.id.startswith(side_run) if side_run else IS_COMPARISON]
    conditions += [comparisons.c.settings == json.dumps(settings)] if settings is not None else []
    conditions += [comparisons.c.state == state] if state is not None else []
    conditions += [comparisons.c.dataset == dataset] if dataset is not None else []
    order = (comparisons.c.created_at.desc(), comparisons.c.id)
    columns = [column for column in comparisons.c if column.name not in _UNLISTED]
    query = select(*columns).where(*conditions).order_by(*order).limit(limit).offset(offset)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
        total = connection.execute(select(func.count()).select_from(comparisons).where(*conditions)).scalar_one()
    return [_stored(row) for row in rows], total


def set_state(
    connection: Connection,
    comparison_id: str,
    state: ComparisonState,
    *,
    expected: Sequence[ComparisonState],
    error: str | None = None,
) -> bool:
    """Move a comparison on and tell those who watch; False, and nothing happens, where it is in no expected state."""
    now = time.time()
    values: dict[str, Any] = {"state": state, "error": error}
    if state is ComparisonState.RUNNING:
        # A comparison that goes on after a restart started when it first did.
        values["started_at"] = func.coalesce(comparisons.c.started_at, now)
    values["finished_at"] = now if state.is_final else None
    changed = connection.execute(
        update(comparisons).where(comparisons.c.id == comparison_id, comparisons.c.state.in_(expected)).values(**values)
    )
    if changed.rowcount:
        append_event(connection, comparison_id, "state", {"state": state, "error": error})
    return bool(changed.rowcount)


def request_cancel(engine: Engine, comparison_id: str) -> StoredComparison:
    """Cancel at once what waits; ask what runs to stop. What was measured stays readable.

    Raises:
        ComparisonNotFoundError: there is none of that id.
        ComparisonConflictError: it is over.
    """
    with writing(engine) as connection:
        found = _read(connection, comparison_id)
        if found.state.is_final and found.state is not ComparisonState.CANCELLED:
            raise ComparisonConflictError(f"{comparison_id} has {found.state} and cannot be cancelled any more")
        connection.execute(
            update(comparisons)
            .where(comparisons.c.id == comparison_id, comparisons.c.state.in_(_IN_PROGRESS))
            .values(cancel_requested=True)
        )
        set_state(connection, comparison_id, ComparisonState.CANCELLED, expected=[ComparisonState.QUEUED])
        return _read(connection, comparison_id)


def resume_comparison(engine: Engine, comparison_id: str, *, max_queued: int | None = None) -> StoredComparison:
    """Queue again what failed or was cancelled; it goes on from what it has.

    Raises:
        ComparisonNotFoundError: there is none of that id.
        ComparisonConflictError: it waits, runs or has succeeded.
        QueueFullError: `max_queued` comparisons wait already.
    """
    with writing(engine) as connection:
        _lock_queue(connection, max_queued)
        found = _read(connection, comparison_id)
        if found.state not in (ComparisonState.FAILED, ComparisonState.CANCELLED):
            raise ComparisonConflictError(
                f"{comparison_id} is {found.state}; only a failed or cancelled comparison can be resumed"
            )
        _refuse_full_queue(connection, max_queued)
        stopped = [ComparisonState.FAILED, ComparisonState.CANCELLED]
        anew = {"cancel_requested": False, "started_at": None}
        # Another caller may have resumed it since, and it may run again, or have been cancelled again.
        if set_state(connection, comparison_id, ComparisonState.QUEUED, expected=stopped):
            connection.execute(update(comparisons).where(comparisons.c.id == comparison_id).values(**anew))
        return _read(connection, comparison_id)


def rename_comparison(engine: Engine, comparison_id: str, name: str) -> StoredComparison:
    """Give a comparison another name.

    Raises:
        ComparisonNotFoundError: there is none of that id.
    """
    with writing(engine) as connection:
        connection.execute(update(comparisons).where(comparisons.c.id == comparison_id).values(name=name))
        return _read(connection, comparison_id)


def delete_comparison(engine: Engine, comparison_id: str) -> None:
    """Delete a comparison with its events and reports.

    Raises:
        ComparisonNotFoundError: there is none of that id.
        ComparisonConflictError: it is not over, or a baseline or deployment rests on it.
    """
    with writing(engine) as connection:
        # Held, so that what is made to rest on it meanwhile is either seen below or finds nothing to rest on.
        connection.execute(select(comparisons.c.id).where(comparisons.c.id == comparison_id).with_for_update())
        found = _read(connection, comparison_id)
        if not found.state.is_final:
            raise ComparisonConflictError(f"{comparison_id} is {found.state}; cancel it first, then delete it")
        held_by = connection.execute(
            select(baselines.c.name).where(baselines.c.comparison_id == comparison_id)
        ).scalars().all()  # fmt: skip
        if held_by:
            raise ComparisonConflictError(
                f"{comparison_id} is the baseline {held_by[0]!r}; set that baseline to another comparison first"
            )
        alias = connection.execute(
            select(deployments.c.alias).where(deployments.c.comparison_id == comparison_id).limit(1)
        ).scalar()
        if alias is not None:
            raise ComparisonConflictError(
                f"{comparison_id} is in the history of the deployment {alias!r}, which can be rolled back to it; "
                "it cannot be deleted"
            )
        connection.execute(delete(comparisons).where(comparisons.c.id == comparison_id))


def keep_files(connection: Connection, comparison_id: str, files: Mapping[str, bytes]) -> None:
    """Keep files with a comparison, which has none of these names yet."""
    rows = [{"comparison_id": comparison_id, "name": name, "content": content} for name, content in files.items()]
    if rows:
        connection.execute(insert(report_files), rows)


def hold_comparison(connection: Connection, comparison_id: str) -> None:
    """Keep a comparison from being deleted until the transaction ends.

    Raises:
        ComparisonNotFoundError: there is none of that id.
    """
    held = select(comparisons.c.id).where(comparisons.c.id == comparison_id).with_for_update(read=True, key_share=True)
    connection.execute(held)
    _read(connection, comparison_id)


def queue_position(engine: Engine, comparison: StoredComparison) -> int:
    """How many queued comparisons are before this one, whosever they are."""
    with engine.connect() as connection:
        return connection.execute(
            select(func.count())
            .select_from(comparisons)
            .where(comparisons.c.state == ComparisonState.QUEUED, comparisons.c.created_at < comparison.created_at)
            .execution_options(**EVERY_WORKSPACE)
        ).scalar_one()


def count_by_state(engine: Engine) -> dict[ComparisonState, int]:
    """How many comparisons there are in each state."""
    query = select(comparisons.c.state, func.count()).group_by(comparisons.c.state)
    with engine.connect() as connection:
        counted = {ComparisonState(state): n for state, n in connection.execute(query)}
    return {state: counted.get(state, 0) for state in ComparisonState}


def _lock_queue(connection: Connection, max_queued: int | None) -> None:
    """Let nobody else fill the queue until the transaction ends; a file has one writer at a time anyway."""
    if max_queued is not None and connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_QUEUE_LOCK)))


def _refuse_full_queue(connection: Connection, max_queued: int | None) -> None:
    if max_queued is None:
        return
    query = select(func.count()).select_from(comparisons).where(comparisons.c.state == ComparisonState.QUEUED)
    if (n_queued := connection.execute(query.execution_options(**EVERY_WORKSPACE)).scalar_one()) >= max_queued:
        raise QueueFullError(f"{n_queued} comparisons wait already, which is the limit; try again when some are done")


def _earlier(connection: Connection, key: str, request: Mapping[str, Any]) -> StoredComparison | None:
    row = connection.execute(select(comparisons).where(comparisons.c.idempotency_key == key)).first()
    if row is None:
        return None
    if not _is_of(row, request):
        raise IdempotencyKeyReusedError(
            "this Idempotency-Key was sent before with another body; send a new key with a new request"
        )
    return _stored(row)


def _is_of(row: Row[Any], sent: Mapping[str, Any]) -> bool:
    """Whether a request is the one that made a row."""
    if row.request_sha256 is not None and row.request_sha256.startswith(_SENT):
        return bool(row.request_sha256 == request_hash(sent))
    # Earlier versions hashed their defaults, too, and the row does not say what was sent. A caller whose retry is
    # refused pays for a second comparison, so a request is another one only where a value contradicts what is stored;
    # a name never does, since people change it.
    with undamaged(f"the comparison {row.id}"):
        stored = json.loads(row.settings) | json.loads(row.sent_files or "{}")
    kept = {"prices": stored.get("price_list"), "prior": stored.get("prior_answers")}
    stored |= kept | {"arms": stored.get("arms", stored.get("pipelines")), "dataset": row.dataset}
    return _holds(stored, {name: value for name, value in resolve(sent).items() if name != "name"})


def _holds(stored: Any, sent: Any) -> bool:
    if not isinstance(stored, Mapping) or not isinstance(sent, Mapping):
        return bool(stored == sent)
    return all(_holds(stored.get(name), value) for name, value in sent.items())


def _read(connection: Connection, comparison_id: str, *, sent_files: bool = False) -> StoredComparison:
    columns = [column for column in comparisons.c if sent_files or column.name != "sent_files"]
    row = connection.execute(select(*columns).where(comparisons.c.id == comparison_id)).first()
    if row is None:
        raise ComparisonNotFoundError(f"there is no comparison {comparison_id!r}; GET /v1/comparisons lists them")
    return _stored(row)


def _stored(row: Row[Any]) -> StoredComparison:
    with undamaged(f"the comparison {row.id}"):
        return StoredComparison(
            id=row.id,
            name=row.name,
            dataset=row.dataset,
            settings=json.loads(row.settings) | json.loads(getattr(row, "sent_files", None) or "{}"),
            state=ComparisonState(row.state),
            cancel_requested=row.cancel_requested,
            error=row.error,
            estimate=json.loads(estimate) if (estimate := getattr(row, "estimate", None)) else None,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            run_id=row.run_id,
            made_by=getattr(row, "made_by", None),
        )
