"""What the API takes and gives. Light to import: the client and the pages use it without the service's packages.

Times are seconds since 1970 in UTC unless a name ends in `_s`, which are seconds of duration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    computed_field,
    create_model,
    model_validator,
)

from advisor.advice.questionnaire import Option
from advisor.arms import DEFAULT_ARMS, parse_arm
from advisor.data.dataset import Document, Slice, Split, Task
from advisor.data.files import holds_half_character, unfit_character
from advisor.data.folder_import import FileOutcome
from advisor.decision.constraints import Constraints
from advisor.decision.freshness import Freshness
from advisor.decision.record import Recheck
from advisor.money.catalogue import CatalogueModel
from advisor.report.facts import SideBySide, Tally
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import (
    AuditFinding,
    BreakEven,
    ConstraintOutcome,
    CostEstimate,
    Flip,
    FlipMap,
    MetricSummary,
    NetValue,
    Recommendation,
)
from advisor.results.score import Score
from lm.completion import Likelihood, Usage
from lm.errors import ConfigError
from lm.setting import declared_settings
from service.contract.comparison_state import ComparisonState
from service.contract.scope import WORKSPACE_PATTERN, Scope
from service.contract.settings import EFFORT, DeclaredSettings, QuestionSettings

NAME_PATTERN = r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=NAME_PATTERN)]
Spec = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[\x21-\x7e]+$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _plain(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what JSON can say and neither arithmetic nor a database can hold."""
    rest: list[Any] = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            rest += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            rest += part
        elif isinstance(part, str):
            if unfit_character(part):
                raise ValueError("a text holds a NUL or half a character; write it again")
        elif isinstance(part, int | float) and not abs(part) < 1e300:
            raise ValueError("a number is out of range; give one below 1e300")
    return value


def _written(text: str) -> str:
    if holds_half_character(text):
        raise ValueError("holds half a character, which no file can; send UTF-8")
    return text


FileText = Annotated[str, StringConstraints(min_length=1), AfterValidator(_written)]
PlainObject = Annotated[dict[str, JsonValue], AfterValidator(_plain)]


class RequestBody(BaseModel):
    """What a caller sends; other fields are refused."""

    # A misspelt field would otherwise silently leave a default in force.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    _given: Any = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        made = read(given)
        made._given = given
        return made

    def sent(self) -> dict[str, Any]:
        """What the caller sent, as plain data: nothing of what was left out, within groups of settings neither."""
        given = self._given if isinstance(self._given, Mapping) else {}
        plain = self.model_dump(mode="json", exclude_unset=True)
        return {name: _as_given(value, given.get(name)) for name, value in plain.items()}


def _as_given(value: Any, given: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(given, Mapping):
        return value
    return {name: _as_given(inner, given[name]) for name, inner in value.items() if name in given}


class FieldError(BaseModel):
    """One thing wrong with a request."""

    where: str = Field(description="Path to the value, e.g. body.top_k.")
    message: str


class DatasetProblem(BaseModel):
    """One thing wrong with a dataset."""

    file: str
    line: int | None = None
    message: str = Field(description="What is wrong and how to fix it.")


class ProblemDetails(BaseModel):
    """Every failure looks like this (RFC 9457), as application/problem+json."""

    type: str = Field(description="Names the kind of problem; the same for all of a kind.")
    title: str
    status: int
    detail: str = Field(description="What failed and what to do.")
    request_id: str = Field(description="Names the request in the service's logs.")
    errors: list[FieldError] = Field(default=[], description="Fields of the request that are wrong.")
    problems: list[DatasetProblem] = Field(default=[], description="What is wrong in an uploaded dataset.")


# ---- datasets


class DatasetSummary(BaseModel):
    """One version of a dataset. A bundled one has its name for a version."""

    version: str
    name: str
    task: Task
    language: str
    licence: str
    description: str
    n_documents: int
    split_sizes: dict[str, int]
    bundled: bool
    frozen: bool = Field(description="A frozen version cannot be deleted. Bundled ones always are.")
    created_at: float | None = None


class DatasetDetail(DatasetSummary):
    """A version with all that its card says and the audit found."""

    metrics: list[str]
    instruction: str
    max_output_tokens: int
    slice_sizes: dict[str, int] = Field(description="Test questions by slice.")
    findings: list[AuditFinding]


class DatasetErased(BaseModel):
    """What was erased, and what has to be deleted elsewhere."""

    versions: list[str]
    comparisons: list[str] = Field(description="Their ids.")
    n_answer_blocks: int
    not_reached: list[str] = Field(description="Places that may hold copies, and how they are deleted.")


class StoredUpload(DatasetDetail):
    """A version as it was just stored."""

    files: list[FileOutcome] = Field(default=[], description="What became of every file that was sent.")


class DatasetList(BaseModel):
    """A page of versions, the newest first, bundled ones last."""

    items: list[DatasetSummary]
    total: int


class ValidationReport(BaseModel):
    """What is wrong with files that were not stored."""

    usable: bool
    name: str | None = None
    task: Task | None = None
    read_as: str = ""
    n_documents: int = 0
    split_sizes: dict[str, int] = {}
    problems: list[DatasetProblem] = []
    findings: list[AuditFinding] = []
    files: list[FileOutcome] = []


class ExampleItem(BaseModel):
    """One question."""

    id: str
    question: str
    answers: list[str]
    answerable: bool
    document_ids: list[str]
    group: str
    split: Split
    slice: Slice


class ExamplePage(BaseModel):
    """Some of the questions, in file order."""

    items: list[ExampleItem]
    total: int


class DocumentPage(BaseModel):
    """Some of the documents, in file order."""

    items: list[Document]
    total: int


# ---- comparisons


class ComparisonRename(RequestBody):
    """Another name for a comparison."""

    name: Name


MAX_ARMS = 32
"""Of one comparison; every pair of them is compared."""


def _known_arms(arms: tuple[str, ...]) -> tuple[str, ...]:
    for arm in arms:
        try:
            parse_arm(arm)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return arms


_SPECS = {
    "model": "smollm2, hf:NAME of the hub, openai:MODEL[@URL], or folder:NAME of GET /v1/base-models.",
    "embedder": "minilm, multilingual, hf:NAME of the hub, or openai:MODEL[@URL].",
}


def _fields() -> dict[str, Any]:
    """What a request may hold, made of the declared settings."""
    fields: dict[str, Any] = {
        one.name: (one.annotation, one.default)
        for one in declared_settings(DeclaredSettings)
        # An uploaded dataset has a card, which says the task.
        if not one.setting.is_local and one.name != "task"
    }
    sent: dict[str, tuple[Any, str]] = {
        "model": (Spec, _SPECS["model"]),
        "embedder": (Spec, _SPECS["embedder"]),
        "judge": (Spec | None, "Model that grades answers, named as `model`."),
        "prices": (PlainObject | None, "A price list with the keys of prices.toml; the one that ships if left out."),
        "prior": (PlainObject | None, "Answers to GET /v1/questionnaire, by id."),
    }
    fields |= {name: (kind, Field(fields[name][1], description=text)) for name, (kind, text) in sent.items()}
    files = Field(None, max_length=MAX_ARMS, description="Texts of the files that arms read, by the names there.")
    dataset = Field(description="Name of a bundled dataset, or the version of an uploaded one.")
    arms = Annotated[tuple[Spec, ...], AfterValidator(_known_arms)]
    about_arms = next(one.setting.help for one in declared_settings(DeclaredSettings) if one.name == "arms")
    return fields | {
        "dataset": (Annotated[str, StringConstraints(pattern=ID_PATTERN)], dataset),
        "files": (dict[FileName, FileText] | None, files),
        "name": (Name | None, Field(None, description="For people; the dataset's name if left out.")),
        "arms": (
            Annotated[arms, Field(min_length=1, max_length=MAX_ARMS)],
            Field(DEFAULT_ARMS, description=about_arms),
        ),
        "pipelines": (arms | None, Field(None, description="An older name of arms.", deprecated=True)),
        "effort": (Annotated[str | None, EFFORT], None),
    }


def _question_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {one.name: (one.annotation, one.default) for one in declared_settings(QuestionSettings)}
    for name in ("model", "embedder"):
        fields[name] = (Annotated[Spec, Field(description=_SPECS[name])], fields[name][1])
    about = "Name of a bundled dataset, or the version of an uploaded one, whose documents are read; or send files."
    return fields | {
        "dataset": (Annotated[str, StringConstraints(pattern=ID_PATTERN)] | None, Field(None, description=about)),
        "name": (Name | None, Field(None, description="Of the dataset that is made.")),
    }


if TYPE_CHECKING:

    class QuestionRunRequest(RequestBody):
        """A type checker makes no models."""

        def __init__(self, **settings: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    class ComparisonRequest(RequestBody):
        """A type checker makes no models."""

        def __init__(self, **settings: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
else:
    QuestionRunRequest = create_model(
        "QuestionRunRequest",
        __base__=RequestBody,
        __module__=__name__,
        __doc__="Questions for a model to write, with the settings of `tuningfork generate-questions`.",
        **_question_fields(),
    )
    ComparisonRequest = create_model(
        "ComparisonRequest",
        __base__=RequestBody,
        __module__=__name__,
        __doc__="A comparison to run. What is left out has the default of `tuningfork compare`; others are refused.",
        **_fields(),
    )


class StageEstimate(BaseModel):
    """What one stage is expected to take."""

    stage: str = Field(description="load, index, tune, answer, form, latency or report.")
    arm: str = Field(description="The arm it is for, empty where several share it.")
    time_s: float
    input_tokens: int = 0
    output_tokens: int = 0
    embedding_tokens: int = 0
    usd: float | None = Field(default=None, description="Nothing where the price list has no price for it.")
    basis: str = Field(description="What the time comes from.")


class PowerEstimate(BaseModel):
    """What the test set is expected to show of two arms, with power .8 at alpha .05, by its counts alone."""

    n_questions: int
    n_clusters: int = Field(description="Documents or facts that the questions are on.")
    detectable: float = Field(description="Smallest difference it would show, in score units.")
    questions_for_margin: int | None = Field(description="That would show the margin; nothing for a margin of 0.")
    questions_for_ten_points: int
    message: str = Field(description="All of it in sentences.")


class Estimate(BaseModel):
    """What a comparison is expected to take, before it starts."""

    time_s: float
    input_tokens: int
    output_tokens: int
    embedding_tokens: int
    usd: float | None = Field(description="Nothing where a stage has no price.")
    n_questions: int
    is_rough: bool = Field(description="Whether any speed is a guess, not measured on this service.")
    basis: list[str] = Field(description="What the figures come from, and what they leave out.")
    stages: list[StageEstimate]
    power: PowerEstimate | None = Field(default=None, description="Nothing in estimates of earlier versions.")


class StageProgress(BaseModel):
    """Where one stage stands."""

    stage: str
    arm: str
    done: int
    total: int
    detail: str = ""


class RunningScore(BaseModel):
    """An arm's mean score over the questions that are scored so far."""

    arm: str
    metric: str
    mean: float | None
    n: int
    n_questions: int


class ComparisonSummary(BaseModel):
    """One comparison as a list shows it."""

    id: str
    name: str
    dataset: str
    dataset_name: str = ""
    dataset_number: int | None = Field(
        default=None, description="Which of the versions of that name it was, the oldest 1; nothing for a bundled one."
    )
    model: str
    arms: list[str]
    state: ComparisonState
    cancel_requested: bool
    error: str | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    verdict: str | None = None
    recommended_arm: str | None = None
    headline: str | None = None
    metric: str | None = Field(default=None, description="The deciding one.")
    score: float | None = Field(default=None, description="Of the recommended arm, by that metric.")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pipelines(self) -> list[str]:
        """The same as arms, by its older name."""
        return self.arms


class ComparisonDetail(ComparisonSummary):
    """One comparison with its progress."""

    settings: dict[str, Any]
    estimate: Estimate | None = None
    progress: list[StageProgress] = []
    eta_s: float | None = Field(default=None, description="Seconds remaining; null if unknown.")
    running_scores: list[RunningScore] = []
    last_event: int = Field(default=0, description="Sequence number of the newest event.")
    queue_position: int | None = Field(default=None, description="Comparisons that are before it, while it is queued.")


class ComparisonList(BaseModel):
    """A page of comparisons, the newest first."""

    items: list[ComparisonSummary]
    total: int


# ---- side runs: questions that a model writes, and arms that are asked again


class SideRunView(BaseModel):
    """A run that is no comparison, and is worked on by the same jobs."""

    id: str
    name: str
    dataset: str | None = Field(description="Whose documents are read; nothing where files were sent.")
    settings: dict[str, Any]
    state: ComparisonState
    cancel_requested: bool
    error: str | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None


AnyRun = TypeVar("AnyRun", bound=SideRunView)


class SideRunList(BaseModel, Generic[AnyRun]):
    """A page of runs, the newest first."""

    items: list[AnyRun]
    total: int

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """As the description of the API calls it."""
        return f"{params[0].__name__.removesuffix('View')}List"


@dataclass(frozen=True, slots=True)
class SideRunKind(Generic[AnyRun]):
    """A kind of side run.

    Attributes:
        path: Of its addresses.
        name: In sentences.
    """

    path: str
    name: str
    view: type[AnyRun]
    page: type[SideRunList[AnyRun]]


class QuestionsMade(BaseModel):
    """What a run made."""

    version: str = Field(description="Of the dataset that holds the questions and the documents.")
    n_asked: int = Field(description="Questions that the model was asked to write, rewordings and joint ones included.")
    kinds: dict[str, int] = Field(description="Questions kept: answerable, on two documents, unanswerable.")
    dropped: dict[str, int] = Field(description="Questions dropped, by the reason.")


class QuestionRunView(SideRunView):
    """A run in which a model writes questions from documents."""

    n_kept: int = Field(description="Facts that have a question so far, of those wanted.")
    made: QuestionsMade | None = Field(default=None, description="Once it has succeeded.")
    files: list[FileOutcome] = Field(default=[], description="What became of every file that was just sent.")


class FreshnessRunRequest(RequestBody):
    """Arms of a finished comparison, to be asked again after its documents changed."""

    comparison_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)]
    files: dict[Literal["documents.jsonl", "answers.jsonl"], FileText] | None = Field(
        default=None,
        description="Later editions of documents and the facts they changed, as texts; those in the folder v2 of the "
        "dataset if left out.",
    )


class FreshnessRunView(SideRunView):
    """A run that asks the arms of a comparison again with later editions of its documents."""

    comparison_id: str
    progress: list[StageProgress] = []
    result: Freshness | None = Field(default=None, description="Once it has succeeded.")


QUESTION_RUNS = SideRunKind("/v1/question-runs", "question run", QuestionRunView, SideRunList[QuestionRunView])
FRESHNESS_RUNS = SideRunKind("/v1/freshness-runs", "freshness run", FreshnessRunView, SideRunList[FreshnessRunView])


# ---- results


class PassageView(BaseModel):
    """A passage put before the model."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    score: float | None = None
    used: bool = True


class AnswerView(BaseModel):
    """What an arm said."""

    text: str
    usage: Usage
    finish_reason: str
    retrieved: list[PassageView] = []
    prompt_hash: str = ""
    constraint_refused: bool = Field(
        default=False, description="Whether it was given without the constraint asked for, as the endpoint takes none."
    )
    unknown: list[str] = Field(default=[], description="What of the usage is not known and stands there as 0.")
    reference: Likelihood | None = None


class ResultItem(BaseModel):
    """One arm's answer to one test question, as in results.jsonl."""

    # Records may come to hold more than pages need to know.
    model_config = ConfigDict(extra="allow")

    arm: str
    example_id: str
    question: str
    references: list[str]
    gold_document_ids: list[str]
    slice: Slice
    group: str
    cluster: str
    answer: AnswerView
    scores: dict[str, Score] = {}
    failure: str = Field(default="", description="Kind of failure, empty where the answer is right or not yet judged.")


class ResultPage(BaseModel):
    """Some of the answers."""

    items: list[ResultItem]
    total: int
    complete: bool = Field(description="False while the comparison runs: there will be more, and scores come last.")
    arms: list[str]
    failures: dict[str, int] = Field(description="Answers by kind of failure, over the arms asked for.")


@dataclass(frozen=True, slots=True)
class GridRow:
    """One test question.

    Attributes:
        answers: Shortened, by arm. scores: of the deciding metric, by arm; None is unscored.
        failures: Kind of failure of each wrong answer, by arm.
        earlier: Scores in the baseline asked for, of arms whose score is another one there.
    """

    example_id: str
    question: str
    slice: Slice
    references: tuple[str, ...]
    answers: Mapping[str, str] = field(hash=False)
    scores: Mapping[str, float | None] = field(hash=False)
    failures: Mapping[str, str] = field(hash=False)
    earlier: Mapping[str, float | None] = field(default_factory=dict, hash=False)


class QuestionGrid(BaseModel):
    """Some of the test questions."""

    items: list[GridRow]
    total: int
    arms: list[str]
    metric: str
    slices: list[Slice]
    failures: dict[str, int] = Field(description="Wrong answers by kind, over the arm asked for or all arms.")


class FirstLook(BaseModel):
    """What a decision shows of the answers: their sums, and three questions."""

    tally: Tally
    examples: list[SideBySide] = Field(description="A win, a loss and a dangerous mistake, where there are any.")


class ShareCreated(BaseModel):
    """A link to a verdict."""

    token: str = Field(description="Shown this once.")
    path: str = Field(description="Of this service; whoever opens it sees the verdict, without a key.")


# ---- keys


class KeyRequest(RequestBody):
    """A key to make."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = [Scope.READ]
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    workspace: Annotated[str, StringConstraints(pattern=WORKSPACE_PATTERN)] | None = Field(
        default=None, description="Whose data it opens; your own workspace if left out."
    )
    max_spend_usd: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=None, description="Most that its comparisons and questions may spend at endpoints."
    )


class KeyView(BaseModel):
    """A key without its secret, which is stored nowhere."""

    id: str
    name: str
    scopes: list[Scope]
    requests_per_minute: int | None
    created_at: float
    revoked_at: float | None
    workspace: str
    max_spend_usd: float | None
    spent_usd: float = Field(description="At endpoints, as far as prices are known.")


class KeyCreated(KeyView):
    """A new key. The secret is shown this once."""

    secret: str


class KeyList(BaseModel):
    """All keys, the newest first."""

    items: list[KeyView]


# ---- advice


class QuestionView(BaseModel):
    """One question of the questionnaire."""

    id: str
    section: str
    ask: str
    why: str
    kind: str = Field(description="choice, yes-no or number.")
    options: list[Option]
    several: bool
    essential: bool
    whole: bool
    maximum: float | None = None
    unit: str
    expects: str


class QuestionnaireView(BaseModel):
    """The questions to answer before tuning anything."""

    questions: list[QuestionView]


class AdviceRequest(RequestBody):
    """Answers by question id; any may be missing."""

    answers: PlainObject


class PricedQualityView(BaseModel):
    """One measured arm between price and quality."""

    comparison_id: str
    dataset: str
    metric: str
    model: str
    catalogue_name: str
    arm: str
    score: float
    score_low: float
    score_high: float
    is_share: bool = Field(description="Whether the metric stays within 1 in its comparison: people read it in points.")
    n: int = Field(description="Scored questions.")
    n_unscored: int
    usd_per_1000_queries: float | None
    usd_per_1000_queries_low: float | None = Field(description="Nothing where no spread was measured.")
    usd_per_1000_queries_high: float | None
    is_recommended: bool


class CatalogueView(BaseModel):
    """Models worth comparing, and where measurements of this service put models."""

    models: list[CatalogueModel]
    measured: list[PricedQualityView]


class Health(BaseModel):
    """Whether the service lives, or is ready."""

    status: str
    version: str
    checks: dict[str, str] = {}


# ---- what would change the decision


class WhatIfRequest(RequestBody):
    """A decision to be made again from stored scores. What is left out stays as it was recorded."""

    queries_per_month: Amount | None = None
    refreshes_per_month: Amount | None = None
    retrainings_per_month: Amount | None = None
    merge_adapter: bool | None = None
    coverage: Share | None = None
    margin: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    usd_per_million_input_tokens: Amount | None = None
    usd_per_million_output_tokens: Amount | None = None
    machine_usd_per_hour: Amount | None = None
    values: AnswerValues | None = None
    constraints: Constraints | None = None
    labels: bool | None = Field(
        default=None,
        description="Decide by the labels given so far: they correct a judge that decides, else they are the scores.",
    )
    parts: Annotated[list[Literal["flips", "flip_map"]], Field(max_length=2)] = Field(
        default=[], description="What takes longer and is wanted all the same."
    )


class RecheckRequest(RequestBody):
    """How things are today. What is left out stays as it was recorded; prices, dataset and model are read again."""

    queries_per_month: Amount | None = None
    refreshes_per_month: Amount | None = None
    coverage: Share | None = None
    margin: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None


class LastRecheck(BaseModel):
    """What the service found when it last looked at a decision by itself (`serve --recheck-every`)."""

    checked_at: float | None = Field(default=None, description="Nothing where it never did.")
    found: Recheck | None = None


class AxisView(BaseModel):
    """An input that can be moved."""

    axis: str
    current: float | None = Field(description="As recorded; nothing where it was not declared or plays no part.")
    low: float
    high: float
    by_decades: bool = Field(description="Whether it is best moved by factors.")


class WhatIfReply(BaseModel):
    """What the decision would be. The shapes are those of report.json."""

    recommendation: Recommendation
    quality: dict[str, MetricSummary | None] = Field(
        description="The deciding metric of each candidate over all slices, weighed by the coverage."
    )
    costs: dict[str, CostEstimate | None] = Field(description="Of each candidate; nothing without a price.")
    break_evens: list[BreakEven]
    net_values: list[NetValue]
    constraints: list[ConstraintOutcome]
    flips: list[Flip]
    flip_map: FlipMap | None
    axes: list[AxisView]
