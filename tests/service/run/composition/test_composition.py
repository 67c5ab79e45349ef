import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from advisor.arms import ARM_KINDS, ARMS
from advisor.audit.check import Check
from advisor.data.answer_form import constraint_of
from advisor.data.dataset import Dataset, Split, hash_documents
from advisor.data.files import load_dataset
from advisor.data.splitting import limit_dataset
from advisor.results.comparison import ArmRole
from lm.errors import ConfigError, LanguageModelError
from lm.fake import FakeLM
from lm.model_identity import model_dtype, model_identity
from service.run.composition import LocalComposition
from service.run.composition.local import BUILDERS, TUNED_BUILDERS
from service.run.progress import Progress
from service.run.settings import ComparisonSettings, Constrain, TuneOn
from service.store.bundled_datasets import BUNDLED_DATASETS
from service.store.data_directory import DataDirectory


class HostedComposition(LocalComposition):
    """The real composition over a scripted model, which like a hosted one takes no adapter."""

    @cached_property
    def model(self) -> FakeLM:
        return FakeLM(lambda _: "c1", name="hosted")


@pytest.fixture
def dataset(workplace: Any) -> Dataset:
    return load_dataset(workplace.folder)


def compose(workplace: Any, **changes: Any) -> HostedComposition:
    settings = replace(workplace.settings, **changes)
    return HostedComposition(settings, workplace.directory, lambda progress: None)


def test_arms_come_in_the_order_of_the_settings_then_the_references(workplace: Any, dataset: Dataset) -> None:
    arms = list(compose(workplace, arms=("few-shot", "base")).arms(dataset))
    assert [arm.pipeline.arm for arm in arms] == ["few-shot", "base", "majority", "oracle-context"]
    assert [arm.role for arm in arms] == [ArmRole.CANDIDATE] * 2 + [ArmRole.REFERENCE] * 2


def test_all_arms_decode_alike(workplace: Any, dataset: Dataset) -> None:
    arms = list(compose(workplace, arms=("base", "few-shot"), seed=3, batch_size=5).arms(dataset))
    assert len({arm.pipeline.generation for arm in arms}) == 1
    assert (arms[0].pipeline.generation.seed, arms[0].pipeline.generation.batch_size) == (3, 5)


@pytest.mark.parametrize("name", ["ticket-triage", "claims-to-json", "appliance-support"])
def test_all_arms_are_held_to_the_form_of_the_data_set_unless_it_is_switched_off(workplace: Any, name: str) -> None:
    dataset = load_dataset(BUNDLED_DATASETS / name)
    for constrain in Constrain:
        composed = compose(workplace, arms=("base", "few-shot"), constrain=constrain)
        arms = [composed.arm(kind, dataset) for kind in ("base", "few-shot", "majority")]
        expected = constraint_of(dataset) if constrain is Constrain.AUTO else None
        assert [arm.pipeline.generation.constraint for arm in arms] == [expected] * 3
        assert (expected is None) == (constrain is Constrain.OFF or name == "appliance-support")


def test_the_majority_answers_what_training_questions_want_most_ties_by_alphabet(
    workplace: Any, dataset: Dataset
) -> None:
    arm = compose(workplace).arm("majority", dataset)
    assert arm.pipeline.answer(["Anything?"])[0].text == min(e.answers[0] for e in dataset.split(Split.TRAIN))


@pytest.mark.parametrize("kind", ["fine-tuned", "hybrid", "raft"])
def test_a_hosted_model_refuses_tuned_arms_before_anything_is_built(
    workplace: Any, dataset: Dataset, kind: str
) -> None:
    composition = compose(workplace, arms=("base", kind))
    with pytest.raises(
        ConfigError, match=f"hosted is a hosted model.*leave {kind} out with `--arms base,few-shot,rag`"
    ):
        next(composition.arms(dataset))
    assert composition.model.calls == []
    with pytest.raises(ConfigError, match="cannot be tuned here"):
        composition.arm(kind, dataset)


def test_no_training_questions_refuse_arms_that_need_them_and_leave_the_majority_out(
    workplace: Any, dataset: Dataset
) -> None:
    bare = replace(dataset, examples=dataset.split(Split.TEST))
    with pytest.raises(ConfigError, match="tiny has no training questions.*`--arms base,rag`"):
        next(compose(workplace).arms(bare))
    kinds = [arm.pipeline.arm for arm in compose(workplace, arms=("base",)).arms(bare)]
    assert kinds == ["base", "oracle-context"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedder": "word2vec"}, "unknown embedder 'word2vec'"),
        ({"judge": "chatty"}, "unknown model 'chatty'"),
        ({"chunk_tokens": 8, "overlap_tokens": 0}, "chunks of 8 tokens are too small"),
        ({"chunk_tokens": 100, "overlap_tokens": 60}, "an overlap of 60 tokens does not suit"),
    ],
)
def test_bad_settings_are_told_before_the_first_arm(
    workplace: Any, dataset: Dataset, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        next(compose(workplace, **changes).arms(dataset))


def test_every_arm_of_the_table_has_a_builder_and_is_what_its_row_says(workplace: Any) -> None:
    dataset = load_dataset(BUNDLED_DATASETS / "ticket-triage")
    dataset = limit_dataset(dataset, limit=4, train_limit=24, coverage=0.5, seed=0)
    kinds = tuple(arm.name for arm in ARMS if not arm.tuned and not arm.source)
    composition = compose(workplace, arms=kinds)
    for kind in kinds:
        arm, row = composition.arm(kind, dataset), ARM_KINDS[kind]
        assert arm.pipeline.arm == kind
        assert (arm.retrieves, arm.tuned, arm.generates) == (row.retrieves, row.tuned, row.generates)
        assert (arm.pipeline.build_usage.embedding_tokens > 0) == (arm.index is not None or row.embeds_questions)
    composition.close()
    assert {*BUILDERS, *TUNED_BUILDERS} == {*ARM_KINDS, "majority", "oracle-context"}


def test_a_classifier_is_refused_where_answers_are_no_labels(workplace: Any, dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="classifier is for classification alone.*tiny is question-answering; leave"):
        next(compose(workplace, arms=("base", "classifier")).arms(dataset))


@pytest.mark.parametrize("kind", ["nearest-question", "nearest-few-shot"])
def test_arms_of_training_questions_are_refused_without_any(workplace: Any, dataset: Dataset, kind: str) -> None:
    bare = replace(dataset, examples=dataset.split(Split.TEST))
    with pytest.raises(ConfigError, match=f"no training questions, which {kind} need"):
        next(compose(workplace, arms=(kind,)).arms(bare))


def test_the_nearest_question_declines_only_where_some_question_has_no_answer(workplace: Any, dataset: Dataset) -> None:
    answerable = replace(dataset, examples=tuple(e for e in dataset.examples if e.answerable))
    composition = compose(workplace, arms=("nearest-question",))
    assert "cosine is" in composition.arm("nearest-question", dataset).label
    always = composition.arm("nearest-question", answerable)
    assert "cosine is" not in always.label
    seen = dataset.split(Split.TRAIN)[0]
    assert always.pipeline.answer([seen.question])[0].text == seen.answers[0]


def test_an_unknown_kind_of_model_has_no_identity() -> None:
    with pytest.raises(ConfigError, match="unknown model 'chatty'"):
        model_identity("chatty")


def test_identity_follows_the_files_of_a_model_and_not_its_place(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
    assert model_identity(f"hf:{folders[0]}") == model_identity(str(folders[1]))
    (folders[1] / "chat_template.jinja").write_text("{{ x }}")
    assert model_identity(f"hf:{folders[0]}") != model_identity(f"hf:{folders[1]}")


def test_a_gguf_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    for name, content in (("a", b"GGUF 1"), ("b", b"GGUF 1"), ("c", b"GGUF 2")):
        (tmp_path / f"{name}.gguf").write_bytes(content)
    assert model_identity(f"gguf:{tmp_path}/a.gguf") == model_identity(f"{tmp_path}/b.gguf")
    assert model_identity(f"gguf:{tmp_path}/a.gguf") != model_identity(f"gguf:{tmp_path}/c.gguf")


def test_the_dtype_a_model_would_be_loaded_in_is_known_without_loading_it(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_dtype(f"hf:{tiny_model_folder}") == "float32"
    assert model_dtype("openai:x") == ""
    monkeypatch.setattr("lm.local.dtype.has_native_bfloat16", lambda: True)
    monkeypatch.setattr("lm.local.dtype.computes_rightly", lambda *_: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert model_dtype("smollm2") == "bfloat16"
    with pytest.raises(LanguageModelError):
        model_dtype("hf:./nowhere")


def test_identity_of_a_hosted_model_is_its_name_and_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    before = model_identity("openai:x")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert model_identity("openai:x") != before


def test_a_folder_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(LanguageModelError, match="only pickled weights"):
        model_identity(f"hf:{tmp_path}")


@pytest.mark.slow
def test_arms_share_one_index_and_one_adapter(
    workplace: Any, dataset: Dataset, tiny_model_folder: Path, tmp_path: Path
) -> None:
    settings = ComparisonSettings("unused", model=f"hf:{tiny_model_folder}", max_epochs=1)
    seen: list[Progress] = []
    composition = LocalComposition(settings, DataDirectory(tmp_path / "home"), seen.append)
    try:
        arms = {arm.pipeline.arm: arm for arm in composition.arms(dataset)}
        assert list(arms) == [*settings.arms, "majority", "oracle-context"]
        assert arms["hybrid"].pipeline.model is arms["fine-tuned"].pipeline.model
        assert arms["hybrid"].pipeline.prompt_builder == arms["rag"].pipeline.prompt_builder
        assert {kind for kind, arm in arms.items() if arm.retrieves} == {"rag", "hybrid", "oracle-context"}
        assert {kind for kind, arm in arms.items() if arm.training_curve} == {"fine-tuned"}
        assert len({arm.pipeline.fingerprint for arm in arms.values()}) == len(arms)
        rag = arms["rag"].pipeline.answer(["Colour of thing 7?"])[0]
        assert rag.retrieved[0].document_id == "d7"
        index = arms["hybrid"].index
        assert index is not None
        assert (arms["rag"].index, index.documents_hash) == (index, hash_documents(dataset.documents))
        assert index.n_bytes > 0
        few = limit_dataset(dataset, limit=None, train_limit=10, coverage=0.5, seed=0)
        assert arms["fine-tuned"].findings == ()
        assert [finding.check for finding in composition.arm("fine-tuned", few).findings] == [Check.TOO_FEW_ROWS]
    finally:
        composition.close()
        composition.close()
    assert {progress.stage for progress in seen} == {"index", "tune"}
    again = LocalComposition(replace(settings, arms=("hybrid",)), DataDirectory(tmp_path / "home"), seen.append)
    n_seen = sum(progress.stage == "tune" for progress in seen)
    assert again.arm("fine-tuned", dataset).pipeline.fingerprint == arms["fine-tuned"].pipeline.fingerprint
    assert again.arm("hybrid", dataset).training_curve == arms["fine-tuned"].training_curve
    again.close()
    assert sum(progress.stage == "tune" for progress in seen) == n_seen


@pytest.mark.slow
def test_a_search_tries_recipes_without_a_look_at_the_test_questions(
    workplace: Any, dataset: Dataset, tiny_model_folder: Path, tmp_path: Path
) -> None:
    settings = ComparisonSettings(
        "unused",
        model=f"hf:{tiny_model_folder}",
        arms=("fine-tuned",),
        max_epochs=1,
        search=3,
        tensorboard=tmp_path / "events",
    )
    seen: list[Progress] = []
    composition = LocalComposition(settings, DataDirectory(tmp_path / "home"), seen.append)
    arm = composition.arm("fine-tuned", dataset)
    assert arm.tuning is not None
    trials = arm.tuning.trials
    assert len(trials) == len({trial.learning_rate for trial in trials}) == 3
    (chosen,) = [trial for trial in trials if trial.chosen]
    assert chosen.score == max(trial.score or 0.0 for trial in trials if not trial.pruned)
    assert (arm.tuning.learning_rate, arm.tuning.batch_size) == (chosen.learning_rate, chosen.batch_size)
    assert arm.pipeline.build_usage.wall_s >= sum(trial.seconds for trial in trials)
    # Every training's record has the hash of what it was shown.
    shown = Dataset(dataset.card, dataset.documents, dataset.split(Split.TRAIN) + dataset.split(Split.VALIDATION))
    adapters = list((tmp_path / "home" / "stages" / "adapters").glob("*/adapter.json"))
    assert len(adapters) == sum(not trial.pruned for trial in trials)
    assert {json.loads(path.read_text())["dataset_hash"] for path in adapters} == {shown.content_hash}
    assert len(list((tmp_path / "events").glob("*/events.out.*"))) == len(trials)
    n_steps = len(seen)
    again = LocalComposition(settings, DataDirectory(tmp_path / "home"), seen.append)
    assert again.arm("fine-tuned", dataset).tuning == arm.tuning
    assert len(seen) == n_steps
    composition.close()
    again.close()


@pytest.mark.slow
def test_raft_is_tuned_on_passages_and_served_with_them(
    workplace: Any, dataset: Dataset, tiny_model_folder: Path, tmp_path: Path
) -> None:
    settings = ComparisonSettings("unused", model=f"hf:{tiny_model_folder}", arms=("hybrid", "raft"), max_epochs=1)
    directory = DataDirectory(tmp_path / "home")
    composition = LocalComposition(settings, directory, lambda _: None)
    hybrid, raft = (composition.arm(kind, dataset) for kind in ("hybrid", "raft"))
    assert raft.pipeline.prompt_builder == hybrid.pipeline.prompt_builder
    assert raft.pipeline.model.fingerprint != hybrid.pipeline.model.fingerprint
    assert raft.pipeline.build_usage.input_tokens > hybrid.pipeline.build_usage.input_tokens
    assert raft.pipeline.build_usage.embedding_tokens > raft.index_usage.embedding_tokens > 0
    assert (raft.retrieves, raft.tuned, bool(raft.training_curve)) == (True, True, True)
    composition.close()
    other = LocalComposition(replace(settings, raft_gold_share=0.0), directory, lambda _: None)
    assert other.arm("raft", dataset).pipeline.fingerprint != raft.pipeline.fingerprint
    other.close()


@pytest.mark.slow
def test_tuning_on_documents_reads_them_and_says_so(
    workplace: Any, dataset: Dataset, tiny_model_folder: Path, tmp_path: Path
) -> None:
    arms = []
    for tune_on in TuneOn:
        settings = ComparisonSettings("unused", model=f"hf:{tiny_model_folder}", max_epochs=1, tune_on=tune_on)
        composition = LocalComposition(settings, DataDirectory(tmp_path / "home"), lambda _: None)
        arms.append(composition.arm("fine-tuned", dataset))
        composition.close()
    bare, read = arms
    assert (bare.read_documents, read.read_documents) == (False, True)
    assert read.pipeline.build_usage.input_tokens > bare.pipeline.build_usage.input_tokens
    assert "on questions and documents" in read.label


@pytest.mark.slow
def test_changed_documents_get_an_index_of_their_own_beside_the_first(
    workplace: Any, dataset: Dataset, tiny_model_folder: Path, tmp_path: Path
) -> None:
    settings = ComparisonSettings("unused", model=f"hf:{tiny_model_folder}", arms=("rag",))
    composition = LocalComposition(settings, DataDirectory(tmp_path / "home"), lambda _: None)
    changed = tuple(replace(d, text=d.text.replace("coloured", "painted")) for d in dataset.documents)
    before, after = (composition.arm("rag", d) for d in (dataset, replace(dataset, documents=changed)))
    texts = [arm.pipeline.answer(["Colour of thing 7?"])[0].retrieved[0].text for arm in (before, after)]
    assert texts == ["Thing 7 is coloured c7.", "Thing 7 is painted c7."]
    composition.close()
