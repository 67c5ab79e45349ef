"""The part of OpenAI's chat completions that is spoken here, by OpenAI's own names."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from service.contract.schemas import PassageView

Text = Annotated[str, StringConstraints(max_length=1_000_000)]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
ShortName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]


class MessagePart(BaseModel):
    """A part of a message; of the last message only text is taken, no images, audio or files."""

    type: ShortName
    text: Text | None = None


class ChatMessage(BaseModel):
    """One message. The last one is the user's question."""

    role: ShortName
    content: Text | list[MessagePart] | None = None


class StreamOptions(BaseModel):
    """How to stream."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A chat completion to make. Parameters of OpenAI's that are not here are refused by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="<comparison>/<kind>, or the alias of a deployment, for example production."
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1_000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = Field(default=None, description="No answer is longer than the dataset allows.")
    max_completion_tokens: Tokens | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=1_000)] | None = Field(
        default=None, description="At most 4 texts."
    )
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = Field(
        default=None, description="0 if left out, as the pipeline was measured."
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None


class CompletionUsage(BaseModel):
    """Tokens of a completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Extension(BaseModel):
    """What OpenAI's replies have no place for.

    Attributes:
        ignored_messages: Messages not read: system texts and tools; where the pipeline was measured on single questions
            all that come before the last.
    """

    comparison_id: str
    kind: str
    sources: list[PassageView]
    embedding_tokens: int
    latency_s: float
    cost_usd: float | None
    ignored_messages: int


class CompletionMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one choice."""

    index: int = 0
    message: CompletionMessage
    logprobs: None = None
    finish_reason: str


class ChatCompletion(BaseModel):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    tuning_fork: Extension


class Delta(BaseModel):
    """More of the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """The one choice of a chunk."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: str | None = None


class ChatCompletionChunk(BaseModel):
    """A part of a streamed completion."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
    tuning_fork: Extension | None = None


class ModelCard(BaseModel):
    """Something that can be named as `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "tuning-fork"


class ModelList(BaseModel):
    """Everything that can be named as `model`: aliases, then the arms of finished comparisons, the newest first."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class OpenAIErrorBody(BaseModel):
    """What failed and what to do."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIError(BaseModel):
    """Every failure of these addresses, in OpenAI's shape."""

    error: OpenAIErrorBody
