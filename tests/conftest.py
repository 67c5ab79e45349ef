"""What every test may use: a tiny random model in the shape of a real one, built once a session; empty databases."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.postgres import PostgresMissingError, PostgresServer, postgres_server
from tests.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from sqlalchemy import Engine

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: the threads of one would wait for those of another (OpenBLAS spins meanwhile).
    os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY_TEMPLATE = (
    "{{ '<|bos|>' }}{% for m in messages %}{{ '<|' + m['role'] + '|> ' + m['content'] | trim + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TINY_WORDS = "The quick brown fox reads the manual: how long is the warranty? Two years. I don't know. "


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test with cases of its own only the first runs on Postgres as well: all of them use the same SQL."""
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    tested: set[tuple[Path, str]] = set()
    for item in items:
        cases = getattr(getattr(item, "callspec", None), "params", {})
        if cases.get("database_kind") != "postgres" or len(cases) == 1:
            kept.append(item)
            continue
        test = (item.path, item.originalname)  # type: ignore[attr-defined]
        (dropped if test in tested else kept).append(item)
        tested.add(test)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres server of our own."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissingError as error:
        pytest.skip(str(error))


def _migrated(url: str) -> None:
    from service.store.database import open_database
    from service.store.migrations.upgrade import migrate

    engine = open_database(url)
    migrate(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """The name of a Postgres database with all tables, to be copied: migrating takes longer than most tests."""
    _migrated(postgres.create_database("migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of SQLite."""
    path = tmp_path_factory.mktemp("migrated") / "test.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of an empty Postgres database."""
    name = f"test_{secrets.token_hex(6)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Tests that use a database run once for each kind; those of Postgres are skipped where there is none."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of either kind."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def engine(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Engine"]:
    """A database with all tables and no rows, of either kind."""
    from service.store.database import open_database

    if database_kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "test.db")
        engine = open_database(f"sqlite:///{tmp_path / 'test.db'}")
        yield engine
        engine.dispose()
        return
    template, name = request.getfixturevalue("migrated_template"), f"test_{secrets.token_hex(6)}"
    postgres: PostgresServer = request.getfixturevalue("postgres")
    engine = open_database(postgres.create_database(name, template=template))
    yield engine
    engine.dispose()
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def tiny_tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with a chat template that takes the system role."""
    return save_tiny_tokenizer(tmp_path_factory.mktemp("tiny_tokenizer"), [TINY_WORDS], vocab_size=320, context=256)


def save_tiny_tokenizer(folder: Path, texts: Iterable[str], *, vocab_size: int, context: int) -> Path:
    """A byte-level BPE tokenizer trained on texts, as a folder."""
    import tokenizers
    import transformers

    special = ["<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|end|>",
        model_max_length=context,
    )
    tokenizer.chat_template = TINY_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_model(config: Any, tokenizer_folder: Path, folder: Path) -> Path:
    """Random weights for a transformers config, with the tokenizer, as a folder a user would have."""
    import torch
    import transformers

    torch.manual_seed(0)
    module = transformers.AutoModelForCausalLM.from_config(config)
    # The default start gives almost equal logits, whose order rounding could turn.
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.5 if "embed" in name else 0.25)
    module.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_folder(tiny_tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with a vocabulary of 320 and a context of 256 tokens."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return save_tiny_model(config, tiny_tokenizer_folder, tmp_path_factory.mktemp("tiny_llama"))


@pytest.fixture(scope="session")
def tiny_reader_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with room for worked examples and passages, for whole comparisons."""
    import transformers

    path = Path(__file__).parents[1] / "datasets" / "appliance-support" / "documents.jsonl"
    folder, texts = tmp_path_factory.mktemp("tiny_reader"), path.read_text(encoding="utf-8").splitlines()[:20]
    tokenizer_folder = save_tiny_tokenizer(folder / "tokenizer", texts, vocab_size=1024, context=4096)
    config = transformers.LlamaConfig(
        vocab_size=1024,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return save_tiny_model(config, tokenizer_folder, folder / "model")


TINY_MODEL = "hf:tuning-fork/tiny"
"""The tiny reader's name in the cache that `tiny_hub` makes: services take no paths of their own machine."""


@pytest.fixture(scope="session")
def tiny_hub(tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that finds the tiny reader in its cache of the hub."""
    cache = tmp_path_factory.mktemp("hub")
    model, commit = cache / "models--tuning-fork--tiny", "0" * 40
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    shutil.copytree(tiny_reader_folder, model / "snapshots" / commit)
    return {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="session")
def tiny_adapter_folders(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two random LoRA adapters of the tiny model that change its answers, each its own way."""
    import warnings

    import peft
    import torch
    import transformers

    folders = []
    for seed in (1, 2):
        base = transformers.AutoModelForCausalLM.from_pretrained(tiny_model_folder)
        config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM")
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 by a name that is going away.
            warnings.filterwarnings(
                "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
            )
            model = peft.get_peft_model(base, config)
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=1.0)
        folder = tmp_path_factory.mktemp(f"tiny_adapter_{seed}")
        model.save_pretrained(folder)
        folders.append(folder)
    return folders[0], folders[1]


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a GGUF file in float32."""
    return write_tiny_gguf(tiny_model_folder, tmp_path_factory.mktemp("tiny_gguf") / "tiny.gguf")
