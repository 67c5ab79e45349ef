"""The audit of a run: what arms are made of and what they answered, as the plain data that the checks take."""

from collections.abc import Sequence
from dataclasses import replace

from advisor.arms import ARM_KINDS, tuned_pairs
from advisor.audit.abilities import audit_lost_abstention, audit_off_domain
from advisor.audit.fairness import ArmSetup, audit_fairness
from advisor.audit.form import audit_output_room
from advisor.audit.general_questions import GENERAL_QUESTIONS, INSTRUCTION, MAX_OUTPUT_TOKENS, right_answers
from advisor.audit.judge import Agreement, LabelNeeds, ModelIdentity, audit_judge, audit_labels, measure_agreement
from advisor.audit.outside import audit_outside
from advisor.audit.retrieval import audit_index, audit_passages
from advisor.audit.unknown_tokens import UnknownTokens, audit_unknown_tokens
from advisor.data.dataset import Dataset, Example, Split
from advisor.data.files import load_dataset
from advisor.data.prompt import QuestionOnly, reference_text
from advisor.data.slices import slice_weights
from advisor.evidence.human_labels import HumanLabel, effective_label_counts, load_human_labels
from advisor.metrics.human import HUMAN_METRICS
from advisor.metrics.registry import JUDGE_METRICS, metric
from advisor.results.answer import Pipeline
from advisor.results.comparison import ArmRole, AuditFinding
from advisor.results.score import Metric, ScoringResources
from lm.completion import Message, Role
from lm.embedding import KnowsItsTokens
from lm.language_model import LanguageModel
from service.run.arm import Arm, Composition
from service.run.measuring import ArmMeasurement
from service.run.settings import ComparisonSettings, RetrieverKind

EMBEDDER_REMEDY = "Rank passages by shared words (`--retriever lexical`), or choose `--embedder multilingual`."
READER_REMEDY = "Choose a model that was trained on the language of your data."


def audit_run(
    measured: Sequence[ArmMeasurement],
    composition: Composition,
    dataset: Dataset,
    settings: ComparisonSettings,
    metrics: Sequence[Metric],
    labels: Sequence[HumanLabel],
) -> list[AuditFinding]:
    """Findings on how the arms were built and judged, while their models are still at hand."""
    candidates = [one for one in measured if one.arm.role is ArmRole.CANDIDATE]
    retrieving = {one.arm.id: one.records for one in candidates if one.arm.retrieves and not one.arm.outside}
    indexes = {one.arm.id: one.arm.index.documents_hash for one in candidates if one.arm.index is not None}
    findings = [finding for one in measured for finding in one.arm.findings]
    # What no language model writes has neither instruction nor base weights to share.
    generating = [one.arm for one in candidates if one.arm.generates]
    by_model = {arm.base.fingerprint: arm for arm in reversed(generating)}
    for arm in reversed(by_model.values()):
        findings += _audit_output_room(arm, dataset)
    findings += audit_fairness([arm_setup(arm, settings) for arm in generating])
    findings += audit_outside({one.arm.id: label for one in candidates if (label := _elsewhere(one.arm))})
    findings += audit_index(indexes, dataset.documents)
    findings += _audit_unknown_tokens(candidates, composition, dataset, settings)
    findings += audit_passages(retrieving, dataset.documents)
    findings += audit_lost_abstention({one.arm.id: one.records for one in candidates}, tuned_pairs(settings.arm_specs))
    findings += _audit_general_abilities([one.arm for one in candidates])
    needs = _label_needs(candidates, dataset, settings, metrics[0].name if metrics else "")
    findings += audit_labels(needs) if needs is not None else []
    findings += _audit_judge(composition, labels, dataset, settings, metrics, needs)
    return list(dict.fromkeys(findings))


def _elsewhere(arm: Arm) -> str:
    """What of an arm nobody here saw being made; "" where all was made here."""
    if not arm.outside:
        return ""
    return "its training" if arm.tuned else "what it was made of"


def arm_setup(arm: Arm, settings: ComparisonSettings) -> ArmSetup:
    """What an arm is asked with; of a tuned model the base counts."""
    pipeline, base = arm.pipeline, arm.base
    precision = getattr(base, "dtype_name", "")
    name = f"{base.name}, {precision}" if precision else base.name
    model = settings.model_of(settings.arm(arm.id))
    return ArmSetup(
        arm.id, arm.kind, model, pipeline.prompt_builder.instruction, pipeline.generation, name, base.fingerprint
    )


def _audit_unknown_tokens(
    candidates: Sequence[ArmMeasurement], composition: Composition, dataset: Dataset, settings: ComparisonSettings
) -> list[AuditFinding]:
    """What embedder and reader do not know of documents and questions; marks the arms that depend on it."""
    documents = [document.text for document in dataset.documents]
    questions = [example.asked for example in dataset.examples]
    own = [one for one in candidates if not one.arm.outside]
    searching = [one for one in own if one.arm.index is not None and settings.retriever is not RetrieverKind.LEXICAL]
    asking = [one for one in own if one.arm.kind in ARM_KINDS and ARM_KINDS[one.arm.kind].embeds_questions]
    readers = {one.arm.base.fingerprint: one.arm.base for one in own if one.arm.generates}
    roles: list[tuple[str, object, list[ArmMeasurement], str]] = [
        ("embedder", composition.embedder if searching or asking else None, [*searching, *asking], EMBEDDER_REMEDY)
    ]
    for fingerprint, reader in readers.items():
        asked = [one for one in own if one.arm.generates and one.arm.base.fingerprint == fingerprint]
        roles.append(("reader", reader, asked, READER_REMEDY))
    measured: list[tuple[UnknownTokens, list[str]]] = []
    for role, model, depending, remedy in roles:
        if not isinstance(model, KnowsItsTokens):
            continue
        shares = {"questions": model.unknown_share(questions)}
        if documents and (searching or role == "reader"):
            shares["documents"] = model.unknown_share(documents)
        unknown = UnknownTokens(role, str(getattr(model, "name", role)), shares, remedy)
        for one in depending:
            one.unreadable = one.unreadable or unknown.message
        measured.append((unknown, [one.arm.id for one in depending]))
    return audit_unknown_tokens(measured)


def _audit_output_room(arm: Arm, dataset: Dataset) -> list[AuditFinding]:
    """Whether references fit, in tokens of the model all arms start from; hosted models only estimate theirs."""
    model = arm.pipeline.model
    if arm.device is None:
        return []
    n_around = model.count_tokens((Message(Role.USER, ""),))
    references = {example.id: reference_text(example) for example in dataset.examples}
    return audit_output_room(
        dataset, references, lambda text: model.count_tokens((Message(Role.USER, text),)) - n_around
    )


def _audit_general_abilities(arms: Sequence[Arm]) -> list[AuditFinding]:
    """Each tuned model and its base are asked a few questions of everyday knowledge, without passages."""
    tuned = {arm.pipeline.model.fingerprint: arm for arm in arms if arm.tuned}
    if not tuned:
        return []
    bases = {arm.base.fingerprint: arm.base for arm in tuned.values()}
    generation = replace(arms[0].pipeline.generation, max_output_tokens=MAX_OUTPUT_TOKENS, constraint=None)
    questions = [example.question for example in GENERAL_QUESTIONS]

    def ask(model: LanguageModel) -> list[bool]:
        return right_answers(Pipeline("", model, QuestionOnly(INSTRUCTION), generation).answer(questions))

    before = {fingerprint: ask(base) for fingerprint, base in bases.items()}
    return audit_off_domain({arm.id: (before[arm.base.fingerprint], ask(arm.pipeline.model)) for arm in tuned.values()})


def read_labels(settings: ComparisonSettings) -> tuple[HumanLabel, ...]:
    """People's labels in the dataset's folder.

    Raises:
        DatasetError: lists every unusable line with its remedy.
    """
    # Of all questions, those that a limit leaves out among them.
    return load_human_labels(settings.dataset_folder, _all_examples(settings))


def _all_examples(settings: ComparisonSettings) -> tuple[Example, ...]:
    return load_dataset(settings.dataset_folder, task=settings.task, seed=settings.seed).examples


def _label_needs(
    candidates: Sequence[ArmMeasurement], dataset: Dataset, settings: ComparisonSettings, metric: str
) -> LabelNeeds | None:
    """What the verdict has of labels; None where it needs none."""
    if metric not in JUDGE_METRICS and metric not in HUMAN_METRICS:
        return None
    test = dataset.split(Split.TEST)
    slices = [dataset.slice_of(example) for example in test]
    weights = slice_weights(slices, [example.group for example in test], coverage=settings.coverage)
    records = {one.arm.id: one.records for one in candidates}
    raced = any(len(one.questions) != len(test) for one in candidates)
    n_by_arm = effective_label_counts(records, metric, weights) if records and not raced else {}
    return LabelNeeds(metric, n_by_arm, settings.race)


def _audit_judge(
    composition: Composition,
    labels: Sequence[HumanLabel],
    dataset: Dataset,
    settings: ComparisonSettings,
    metrics: Sequence[Metric],
    needs: LabelNeeds | None,
) -> list[AuditFinding]:
    judge = composition.judge
    if judge is None:
        return []
    return audit_judge(
        ModelIdentity(judge.name, judge.fingerprint),
        [ModelIdentity(model.name, model.fingerprint) for model in map(composition.model_of, settings.models)],
        _agreements(composition, labels, dataset, settings),
        [one.name for one in metrics if one.name in JUDGE_METRICS],
        needs,
    )


def _agreements(
    composition: Composition, labels: Sequence[HumanLabel], dataset: Dataset, settings: ComparisonSettings
) -> dict[str, Agreement]:
    """The judge grades what people have labelled, metric by metric."""
    labels = [label for label in labels if label.metric in JUDGE_METRICS]
    by_id = {example.id: example for example in _all_examples(settings)} if labels else {}
    resources = ScoringResources(dataset.card, composition.embedder, composition.judge)
    agreements = {}
    for name in dict.fromkeys(label.metric for label in labels):
        own = [label for label in labels if label.metric == name]
        answers = [label.as_answer() for label in own]
        scores = metric(name).score([by_id[label.question_id] for label in own], answers, resources)
        agreements[name] = measure_agreement([label.good is True for label in own], [score.value for score in scores])
    return agreements
