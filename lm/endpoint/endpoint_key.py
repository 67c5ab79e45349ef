"""Which API key may go to which address. Keys come from the environment alone and go nowhere else.

| variable | goes to |
|---|---|
| OPENAI_API_KEY | OpenAI, and the base URL that OPENAI_BASE_URL names |
| AZURE_OPENAI_API_KEY | Azure OpenAI |
| TUNING_FORK_MODEL_API_KEY | the base URL that TUNING_FORK_MODEL_URL names |
| TUNING_FORK_EMBEDDER_API_KEY | the base URL that TUNING_FORK_EMBEDDER_URL names, where that is not the model's |

Base URLs must be the same, path included: gateways give tenants paths of one host. An address that only the caller of a
service named gets none.
"""

import os
from urllib.parse import urlsplit

OPENAI_BASE_URL = "https://api.openai.com/v1"

_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def endpoint_key(base_url: str) -> str | None:
    """The key for an address, None where it gets none."""
    name = key_variable(base_url)
    return os.environ.get(name) or None if _may_have(name, base_url) else None


def key_variable(base_url: str) -> str:
    """The environment variable that would hold the key for an address."""
    if _named(base_url, "TUNING_FORK_MODEL_URL"):
        return "TUNING_FORK_MODEL_API_KEY"
    if _named(base_url, "TUNING_FORK_EMBEDDER_URL"):
        return "TUNING_FORK_EMBEDDER_API_KEY"
    if is_openai(base_url) or _named(base_url, "OPENAI_BASE_URL"):
        return "OPENAI_API_KEY"
    return "AZURE_OPENAI_API_KEY" if is_azure(base_url) else "TUNING_FORK_MODEL_API_KEY"


def key_variable_of(spec: str) -> str | None:
    """The variable that holds the key for an `openai:MODEL[@URL]` or a web address; None for what needs none."""
    if spec.startswith(("http://", "https://")):
        return key_variable(spec)
    scheme, _, rest = spec.partition(":")
    return key_variable(rest.partition("@")[2] or default_url()) if scheme == "openai" else None


def default_url() -> str:
    """Where a model is asked that names no address."""
    return os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL


def how_to_give_key(base_url: str) -> str:
    """What to set so that an address gets a key, for messages."""
    name = key_variable(base_url)
    if _may_have(name, base_url):
        return f"set {name} in the environment"
    return f"set {name} in the environment, and TUNING_FORK_MODEL_URL to {base_url}"


def is_openai(base_url: str) -> bool:
    """Whether it is OpenAI's own address, encrypted."""
    return _canonical(base_url) == OPENAI_BASE_URL


def is_azure(base_url: str) -> bool:
    """Whether it is a resource of Azure OpenAI, encrypted."""
    parts = urlsplit(base_url)
    return parts.scheme.lower() == "https" and (parts.hostname or "").endswith(_AZURE_HOSTS)


def _may_have(name: str, base_url: str) -> bool:
    return name != "TUNING_FORK_MODEL_API_KEY" or _named(base_url, "TUNING_FORK_MODEL_URL")


def _named(base_url: str, variable: str) -> bool:
    named = os.environ.get(variable)
    return bool(named) and _canonical(base_url) == _canonical(named or "")


def _canonical(url: str) -> str:
    parts = urlsplit(url.strip())
    try:
        port = parts.port
    except ValueError:
        return url
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    suffix = f":{port}" if port is not None and port != _DEFAULT_PORTS.get(scheme) else ""
    # A query or a user name makes it another address.
    rest = "".join((f"?{parts.query}" if parts.query else "", f"#{parts.fragment}" if parts.fragment else ""))
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"{scheme}://{user}{host}{suffix}{parts.path.rstrip('/')}{rest}"
