import pytest

from service.safety.allowed_models import ANY, FOR_KEYS, AllowedModels, ModelNotAllowedError
from service.safety.endpoint_guard import EndpointGuard, read_allowed_endpoints

GUARD = EndpointGuard(
    read_allowed_endpoints(
        {
            "TUNING_FORK_ALLOWED_ENDPOINTS": "llm.example.org,10.0.0.0/8",
            "TUNING_FORK_MODEL_URL": "https://vllm.example.org/v1",
        }
    )
)


def is_allowed(allowed: AllowedModels, spec: str) -> bool:
    try:
        allowed.check("model", spec, GUARD)
    except ModelNotAllowedError:
        return False
    return True


@pytest.mark.parametrize(
    ("spec", "by_a_key"),
    [
        ("openai:gpt-4o", True),
        ("openai:m@https://vllm.example.org/v1", True),
        ("openai:m@https://llm.example.org:8443/v1", True),
        ("openai:m@http://10.1.2.3/v1", True),
        ("openai:m@https://elsewhere.example/v1", False),
        ("openai:m@https://llm.example.org.elsewhere.example/v1", False),
        ("openai:m@https://elsewhere.example/?https://llm.example.org/v1", False),
        ("hf:org/huge-model", False),
        ("external:https://app.example/v1", True),
    ],
)
def test_keys_may_name_models_of_the_operator_and_no_download(spec: str, by_a_key: bool) -> None:
    assert is_allowed(AllowedModels(FOR_KEYS, listed_endpoints=True), spec) is by_a_key
    assert is_allowed(AllowedModels(ANY), spec)


@pytest.mark.parametrize(
    ("pattern", "spec", "matches"),
    [
        ("hf:Qwen/*", "hf:Qwen/Qwen3-0.6B", True),
        ("hf:Qwen/*", "hf:evil/Qwen", False),
        ("hf:Qwen/*", "HF:Qwen/x", False),
        ("openai:gpt-4o*", "openai:gpt-4o-mini", True),
        ("openai:*", "openai:m@https://elsewhere.example/v1", False),
        ("*", "openai:m@https://elsewhere.example/v1", False),
        ("openai:*@https://llm.example.org/*", "openai:m@https://llm.example.org/v1", True),
        ("openai:*@https://llm.example.org/*", "openai:m@https://llm.example.org.evil/v1", False),
        ("openai:*@https://llm.example.org/*", "openai:m@http://vllm.example.org/v1", False),
        ("openai:*", "external:https://app.example/v1", False),
    ],
)
def test_what_the_operator_lists_is_all_that_is_allowed(pattern: str, spec: str, matches: bool) -> None:
    assert is_allowed(AllowedModels([pattern]), spec) is matches


def test_a_refusal_says_what_is_allowed() -> None:
    with pytest.raises(ModelNotAllowedError, match=r"model is 'hf:x', .* and openai:gpt\*; .*--allow-models"):
        AllowedModels(["openai:gpt*"]).check("model", "hf:x", GUARD)
