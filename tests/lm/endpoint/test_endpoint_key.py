import pytest

from lm.endpoint.endpoint_key import endpoint_key, how_to_give_key, is_azure, is_openai, key_variable

OPENAI = "https://api.openai.com/v1"
GATEWAY = "https://gateway.example/tenant-a/v1"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of-azure")
    monkeypatch.setenv("TUNING_FORK_MODEL_API_KEY", "of-own")
    monkeypatch.setenv("TUNING_FORK_API_KEY", "of-the-service")
    for name in ("OPENAI_BASE_URL", "TUNING_FORK_MODEL_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (OPENAI, "of-openai"),
        (OPENAI + "/", "of-openai"),
        ("https://API.OpenAI.com:443/v1", "of-openai"),
        ("https://firm.openai.azure.com", "of-azure"),
        ("https://firm.cognitiveservices.azure.com/openai/v1", "of-azure"),
    ],
)
def test_each_key_goes_to_its_owner(url: str, key: str) -> None:
    assert endpoint_key(url) == key


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com@evil.example/v1",
        "https://evil.example/https://api.openai.com/v1",
        "https://user@api.openai.com/v1",
        "https://api.openai.com/v1?x=1",
        "https://api.openai.com/v2",
        "https://api.openai.com:99999/v1",
        "http://firm.openai.azure.com",
        "https://openai.azure.com.evil.example",
        "https://evil.example/.openai.azure.com",
        "http://localhost:8000/v1",
        "not an address",
    ],
)
def test_no_key_goes_anywhere_else(url: str) -> None:
    assert endpoint_key(url) is None


def test_an_endpoint_named_by_the_environment_gets_its_key_and_its_neighbours_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, key in (("OPENAI_BASE_URL", "of-openai"), ("TUNING_FORK_MODEL_URL", "of-own")):
        monkeypatch.setenv(variable, GATEWAY + "/")
        assert endpoint_key(GATEWAY) == key
        assert endpoint_key("https://gateway.example/tenant-b/v1") is None
        assert endpoint_key("http://gateway.example/tenant-a/v1") is None
        monkeypatch.delenv(variable)


def test_the_key_of_the_service_goes_to_no_model() -> None:
    assert "of-the-service" not in {endpoint_key(url) for url in (OPENAI, GATEWAY, "https://firm.openai.azure.com")}


def test_messages_say_what_to_set() -> None:
    assert how_to_give_key(OPENAI) == "set OPENAI_API_KEY in the environment"
    told = how_to_give_key(GATEWAY)
    assert "TUNING_FORK_MODEL_API_KEY" in told
    assert f"TUNING_FORK_MODEL_URL to {GATEWAY}" in told
    assert key_variable("https://firm.openai.azure.com") == "AZURE_OPENAI_API_KEY"
    assert is_azure("https://firm.openai.azure.com")
    assert not is_openai("http://api.openai.com/v1")
