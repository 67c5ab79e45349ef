"""Models computed on this machine: loading, prompts read once, constrained decoding, adapters."""

import logging
import sys

# Kernels of bitsandbytes and transformers would be fetched from a hub, unasked, if the package `kernels` is installed.
sys.modules["kernels"] = None  # type: ignore[assignment]  # an import of it fails at once
# It warns that it did not find them.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
