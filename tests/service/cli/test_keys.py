from pathlib import Path

import pytest

from service.cli.app import main
from service.contract.scope import Scope
from service.store.api_keys import find_key, list_keys
from service.store.database import database_url, open_database


def run(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["keys", *arguments, "--home", str(home)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_key_is_made_shown_once_and_revoked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, secret, _ = run(capsys, tmp_path, "create", "ci", "--scope", "run", "--requests-per-minute", "60")
    assert code == 0
    engine = open_database(database_url(tmp_path))
    with engine.connect() as connection:
        key = find_key(connection, secret.strip())
    assert key is not None
    assert (key.name, key.scope, key.requests_per_minute) == ("ci", Scope.RUN, 60)
    _, listed, _ = run(capsys, tmp_path, "list")
    assert "ci" in listed
    assert secret.strip() not in listed
    assert run(capsys, tmp_path, "revoke", key.id)[0] == 0
    assert list_keys(engine)[0].revoked_at is not None
    engine.dispose()


@pytest.mark.parametrize(
    "arguments", [["create", ""], ["create", "a\nb"], ["create", "x", "--scope", "all"], ["revoke", "x"]]
)
def test_a_mistake_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]
) -> None:
    code, out, err = run(capsys, tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_a_limit_below_one_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, tmp_path, "create", "x", "--requests-per-minute", "0")[0] == 2
