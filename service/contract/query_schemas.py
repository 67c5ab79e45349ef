"""What querying and deploying take and give. Light to import, as `service.contract.schemas` is."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.contract.schemas import ID_PATTERN, PassageView, Spec

MAX_QUESTIONS = 64
ALIAS_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000)]


class AnswersRequest(BaseModel):
    """Questions to one arm."""

    model_config = ConfigDict(extra="forbid")

    questions: Annotated[list[Question], Field(min_length=1, max_length=MAX_QUESTIONS)]


class QuestionRequest(BaseModel):
    """One question."""

    model_config = ConfigDict(extra="forbid")

    question: Question


class TokensView(BaseModel):
    """Tokens of one answer; embedding tokens are those of the question."""

    input_tokens: int
    output_tokens: int
    embedding_tokens: int


class ServedAnswerView(BaseModel):
    """An arm's answer and what it took."""

    question: str
    text: str
    sources: list[PassageView] = Field(
        description="Retrieved passages, best first; `used` says which fitted the prompt."
    )
    tokens: TokensView
    latency_s: float = Field(description="What the caller waited inside the service.")
    model_s: float = Field(description="Wall seconds of the batch it was answered in, retrieval included.")
    batch_size: int = Field(description="Questions in that batch, of all callers.")
    cost_usd: float | None = Field(description="By the price list of the report; nothing without a price.")
    finish_reason: str = Field(description="stop, length or content_filter.")


class AnswersReply(BaseModel):
    """Answers of one arm, in the order of the questions."""

    comparison_id: str
    kind: str
    answers: list[ServedAnswerView]


class ArmReply(BaseModel):
    """What one arm said, or why it could not."""

    kind: str
    answer: ServedAnswerView | None = None
    error: str | None = None


class SideBySideReply(BaseModel):
    """All arms' answers to one question, in the order of the report."""

    comparison_id: str
    question: str
    arms: list[ArmReply]


class PieceEvent(BaseModel):
    """Data of a `piece` event: more of the answer's text."""

    text: str


class DeployRequest(BaseModel):
    """What an alias is to serve."""

    model_config = ConfigDict(extra="forbid")

    comparison_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)]
    kind: Annotated[str, StringConstraints(pattern=ID_PATTERN)]


class RollbackRequest(BaseModel):
    """Which revision to serve again."""

    model_config = ConfigDict(extra="forbid")

    revision: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        default=None, description="The one before the present one if left out."
    )


class DeploymentView(BaseModel):
    """One revision of an alias."""

    alias: str
    revision: int
    comparison_id: str
    kind: str
    created_at: float


class DeploymentList(BaseModel):
    """What each alias serves."""

    items: list[DeploymentView]


class DeploymentDetail(DeploymentView):
    """What an alias serves, and all it served, the present one first."""

    history: list[DeploymentView]


class ModelTrialRequest(BaseModel):
    """A model to look at."""

    model_config = ConfigDict(extra="forbid")

    model: Spec = Field(description="smollm2, hf:NAME of the hub, or openai:MODEL[@URL].")
    ask: bool = Field(default=True, description="False only says where it is and how large; nothing is loaded or sent.")


class ModelAnswerView(BaseModel):
    """What a model said to a fixed question."""

    question: str
    text: str
    load_s: float = Field(description="Seconds until it could be asked.")
    answer_s: float = Field(description="Seconds until its answer was whole.")
    input_tokens: int
    output_tokens: int


class BaseModelView(BaseModel):
    """A model or adapter that a comparison can be started with."""

    spec: str = Field(description="What a request names it by; of an adapter the name after `adapter:`.")
    place: str = Field(description="embedded, folder, adapter, hub or endpoint.")
    is_ready: bool = Field(description="Whether it can be asked now: its weights are here, or it has the key it needs.")
    parameters: int | None = None
    n_bytes: int | None = Field(default=None, description="Of its weights here.")
    message: str = Field(description="What it is, and what is missing.")


class BaseModelList(BaseModel):
    """Models on the machine of the service first, then of the hub, then endpoints."""

    items: list[BaseModelView]


class HandoverTarget(BaseModel):
    """A tool that an arm can be handed over to."""

    name: str
    description: str = Field(description="What it is given.")


class HandoverTargets(BaseModel):
    """All of them."""

    items: list[HandoverTarget]


class ModelTrialView(BaseModel):
    """Where a model is, and what it said."""

    model: str
    is_ready: bool = Field(description="Whether it can be tried now: its weights are here, or it has the key it needs.")
    parameters: int | None = None
    n_bytes: int | None = Field(default=None, description="Of its weights here.")
    tunable: bool = Field(description="Whether arms can be tuned from it.")
    message: str = Field(description="Where it is, and what is missing.")
    answer: ModelAnswerView | None = None
