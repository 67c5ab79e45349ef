"""Language models: one batch-first protocol, one way of counting tokens, so that every arm's cost is counted alike."""

import logging
import sys

FORMAT = 1
"""Raise it when tokens or answers change for equal inputs; `service.store.stages.stage_key` names stages by it."""

# Kernels of bitsandbytes and transformers would be fetched from a hub, unasked, if the package `kernels` is installed.
# Here and not where models are loaded: peft reads bitsandbytes, and whoever imports peft has imported this before.
sys.modules["kernels"] = None  # type: ignore[assignment]  # an import of it fails at once
# It warns that it did not find them.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
