"""Keys as an operator makes them and callers use them: real processes."""

from pathlib import Path

import openai
import pytest

from service.contract.client import ServiceClient, ServiceError
from tests.e2e.server import running_server, start_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(home: Path, *arguments: str) -> str:
    """What a command prints."""
    with start_process(home, *arguments) as process:
        told, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return str(told)


def refusal(client: ServiceClient) -> int:
    """The status of a request that takes an administrator's key."""
    with pytest.raises(ServiceError) as refused:
        client.list_keys()
    return refused.value.status


def test_who_has_no_key_is_kept_out_and_a_key_opens_what_its_scope_says(tmp_path: Path) -> None:
    home = tmp_path / "home"
    admin = run(home, "keys", "create", "operator", "--scope", "admin").strip()
    with running_server(home, "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with ServiceClient(url) as stranger:
            assert stranger.is_alive()
            assert refusal(stranger) == 401
        with ServiceClient(url, admin) as operator:
            reader = operator.create_key("reader", ["read"], requests_per_minute=100)
        with ServiceClient(url, reader.secret) as client:
            assert client.list_comparisons().total == 0
            assert refusal(client) == 403
        with openai.OpenAI(base_url=f"{url}/v1", api_key=reader.secret, max_retries=0) as chat:
            assert list(chat.models.list()) == []
            with pytest.raises(openai.PermissionDeniedError):
                chat.chat.completions.create(model="production", messages=[{"role": "user", "content": "?"}])
            # Revoked by the command while the service runs.
            run(home, "keys", "revoke", reader.id)
            with pytest.raises(openai.AuthenticationError):
                chat.models.list()
        assert admin not in run(home, "keys", "list")
        assert server.stop() == 0
    told = (tmp_path / "home.stderr").read_text()
    for secret in (admin, reader.secret):
        assert secret not in told
        assert secret[3:].encode() not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
