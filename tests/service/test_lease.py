import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import InterfaceError, InternalError

from service.database import writing
from service.lease import Lease, Leases, LostLeaseError, check, claim, held_units, release, release_all, renew
from service.tables import leases as leases_table
from service.tables import stage_files


def run_out(engine: Engine) -> None:
    """As if all owners had been silent for long."""
    with writing(engine) as connection:
        connection.execute(update(leases_table).values(expires_at=1.0))


def expiry(engine: Engine) -> float:
    with engine.connect() as connection:
        return connection.execute(select(leases_table.c.expires_at)).scalar_one()


def granted(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def never(pause_s: float) -> None:
    raise AssertionError("waited")


def test_one_owner_at_a_time(engine: Engine) -> None:
    assert claim(engine, "unit", "first") == Lease("unit", "first", 1)
    assert claim(engine, "unit", "second") is None
    assert claim(engine, "unit", "first") is None
    assert claim(engine, "another unit", "second") is not None


def test_a_released_unit_is_free_and_its_token_grows(engine: Engine) -> None:
    lease = granted(claim(engine, "unit", "first"))
    with writing(engine) as connection:
        release(connection, lease)
    assert claim(engine, "unit", "first") == Lease("unit", "first", 2)


def test_a_unit_that_ran_out_is_free_unless_it_was_renewed(engine: Engine) -> None:
    lease = granted(claim(engine, "unit", "first"))
    run_out(engine)
    renew(engine, lease)
    assert claim(engine, "unit", "second") is None
    run_out(engine)
    assert claim(engine, "unit", "second") == Lease("unit", "second", 2)


def test_who_lost_a_unit_can_neither_renew_nor_release_nor_write(engine: Engine) -> None:
    stale = granted(claim(engine, "unit", "owner"))
    run_out(engine)
    current = granted(claim(engine, "unit", "owner"))
    with pytest.raises(LostLeaseError):
        renew(engine, stale)
    with pytest.raises(LostLeaseError), writing(engine) as connection:
        release(connection, stale)
    with pytest.raises(LostLeaseError), writing(engine) as connection:
        check(connection, stale)
    with writing(engine) as connection:
        check(connection, current)


def test_of_many_who_ask_at_once_one_gets_the_unit(engine: Engine) -> None:
    got: list[Lease] = []
    start = threading.Barrier(8)

    def ask(name: str) -> None:
        start.wait()
        lease = claim(engine, "unit", name)
        if lease is not None:
            got.append(lease)

    threads = [threading.Thread(target=ask, args=(f"owner {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_what_dead_processes_of_an_owner_held_is_freed_at_once(engine: Engine) -> None:
    for name in ("home_1/process 7", "home_1/process 8", "home%1/process 7"):
        claim(engine, name, name)
    release_all(engine, "home_1/")
    assert held_units(engine, "home") == ["home%1/process 7"]
    assert claim(engine, "home_1/process 7", "next") is not None


def test_held_units_are_those_of_the_prefix_that_did_not_run_out(engine: Engine) -> None:
    claim(engine, "job/1", "owner")
    run_out(engine)
    claim(engine, "job/2", "owner")
    claim(engine, "block/1", "owner")
    assert held_units(engine, "job/") == ["job/2"]


class TestLeasesOfAProcess:
    @pytest.fixture
    def mine(self, engine: Engine) -> Iterator[Leases]:
        with Leases(engine, "me", pause=never) as leases:
            yield leases

    def test_a_result_is_written_and_its_unit_given_back_at_once(self, engine: Engine, mine: Leases) -> None:
        lease = granted(mine.claim("unit"))
        mine.write(lease, lambda c: c.execute(insert(stage_files).values(unit="u", path="p", content=b"")), ends=True)
        assert held_units(engine, "unit") == []
        assert claim(engine, "unit", "other") is not None

    def test_a_failed_write_leaves_nothing_and_keeps_the_unit(self, engine: Engine, mine: Leases) -> None:
        lease = granted(mine.claim("unit"))

        def fail(connection: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            mine.write(lease, fail, ends=True)
        assert held_units(engine, "unit") == ["unit"]

    def test_nothing_is_written_after_the_unit_was_taken_over(self, engine: Engine, mine: Leases) -> None:
        lease = granted(mine.claim("unit"))
        run_out(engine)
        assert claim(engine, "unit", "other") is not None
        with pytest.raises(LostLeaseError):
            mine.write(lease, lambda c: c.execute(insert(stage_files).values(unit="u", path="p", content=b"")))
        with engine.connect() as connection:
            assert connection.execute(select(stage_files)).all() == []

    def test_a_unit_is_held_for_a_block_and_free_after_it_even_if_it_fails(self, engine: Engine, mine: Leases) -> None:
        with pytest.raises(ZeroDivisionError), mine.hold("unit"):
            assert held_units(engine, "unit") == ["unit"]
            raise ZeroDivisionError
        assert held_units(engine, "unit") == []

    def test_a_process_that_ends_gives_back_all_it_held(self, engine: Engine) -> None:
        with Leases(engine, "other", pause=never) as other:
            other.claim("1")
            other.claim("2")
        assert held_units(engine, "") == []

    def test_waiting_ends_as_soon_as_the_unit_is_free(self, engine: Engine, mine: Leases) -> None:
        lease = granted(mine.claim("unit"))
        with Leases(engine, "other", pause=lambda _: mine.give_up(lease)) as other:
            assert other.wait_for("unit").token == 2

    def test_units_are_renewed_while_the_process_works(self, engine: Engine) -> None:
        renewed = threading.Event()
        lease_s = 0.3
        with Leases(engine, "me", lease_s=lease_s, pause=renewed.wait) as leases:
            leases.claim("unit")
            first = expiry(engine)
            while expiry(engine) < first + lease_s:
                leases.wait(0.05)
            assert held_units(engine, "unit") == ["unit"]

    def test_a_unit_lost_meanwhile_does_not_end_the_renewing_of_others(
        self, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Leases(engine, "me", lease_s=0.3, pause=threading.Event().wait) as leases:
            leases.claim("a lost one")
            leases.claim("kept")
            with writing(engine) as connection:
                connection.execute(text("UPDATE leases SET owner = 'other' WHERE unit = 'a lost one'"))
            while "a lost one was not renewed" not in caplog.text:
                leases.wait(0.05)
            assert held_units(engine, "kept") == ["kept"]

    def test_whatever_the_database_says_renewing_goes_on(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        renewed = threading.Event()
        failures = [InterfaceError("", None, Exception("it is closed")), InternalError("", None, Exception())]

        def renew_in_the_end(*given: Any) -> None:
            if failures:
                raise failures.pop()
            renew(*given)
            renewed.set()

        monkeypatch.setattr("service.lease.renew", renew_in_the_end)
        with Leases(engine, "me", lease_s=0.3, pause=never) as leases:
            leases.claim("unit")
            assert renewed.wait(60)
