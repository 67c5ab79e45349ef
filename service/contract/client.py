"""The service from the outside: one method a route. The command line and the pages use nothing else of it.

Light to import: neither models nor a database come with it.
"""

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO, Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from advisor.advice.prior import PriorRecommendation
from advisor.data.dataset import Slice, Split, Task
from advisor.data.folder_import import DATA_ENDINGS, Fate, FileOutcome, other_kind
from advisor.data.loaders import why_not_read
from advisor.decision.record import Recheck
from lm.errors import TuningForkError
from service.contract.comparison_state import ComparisonState
from service.contract.query_schemas import BaseModelList, HandoverTargets, ModelTrialView
from service.contract.schemas import (
    FRESHNESS_RUNS,
    QUESTION_RUNS,
    AnyRun,
    CatalogueView,
    ComparisonDetail,
    ComparisonList,
    ComparisonRequest,
    ComparisonSummary,
    DatasetDetail,
    DatasetErased,
    DatasetList,
    DocumentPage,
    Estimate,
    ExamplePage,
    FirstLook,
    FreshnessRunRequest,
    FreshnessRunView,
    Health,
    KeyCreated,
    KeyList,
    KeyView,
    LastRecheck,
    ProblemDetails,
    QuestionGrid,
    QuestionnaireView,
    QuestionRunRequest,
    QuestionRunView,
    RecheckRequest,
    RequestBody,
    ResultPage,
    ShareCreated,
    SideRunKind,
    SideRunList,
    StoredUpload,
    ValidationReport,
    WhatIfReply,
    WhatIfRequest,
)
from service.contract.scope import Scope

REPORT_NAMES = (
    *("report.json", "report.md", "report.html", "report.xml"),
    *("decision.json", "results.jsonl", "results.csv"),
)
HANDOVER_S = 1800.0
"""Longest that an arm may take to be written for another tool: weights are loaded, converted and compared."""
_PAUSE_S = 1.0
_M = TypeVar("_M")


class ServiceError(TuningForkError):
    """The service refused, failed or cannot be reached; the text is fit to be shown.

    Attributes:
        status: Of HTTP; 0 where no answer came.
        problem: What the service said, if it said it as problem details.
    """

    def __init__(self, message: str, *, status: int = 0, problem: ProblemDetails | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem
        self.retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One server-sent event.

    Attributes:
        id: Its sequence number, None where it has none.
        type: "state", "progress", "block", "training" or "resources" of a comparison; "piece", "answer" or "problem"
            of an answer.
    """

    id: int | None
    type: str
    data: Mapping[str, Any]


FileContent = bytes | IO[bytes]


class ServiceClient:
    """A connection to one service; may be used by several threads.

    Args:
        url: `http://host:port`.
        key: `tf_...`; none on the machine of a service without keys.
        timeout_s: Longest silence of the service, waits that are asked for apart.
        transport: In place of the network, for tests.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        # Proxies of the environment are for the network outside, and a key must not pass through them.
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout_s, transport=transport, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # ---- datasets

    def upload_dataset(
        self, files: Mapping[str, FileContent], *, name: str | None = None, task: Task | None = None
    ) -> StoredUpload:
        """Store files as a version; the same files give the same version.

        Args:
            files: Content by relative name; one .zip, or the files themselves.
            name: Where no dataset.toml among them says it; task likewise.
        """
        return self._model(StoredUpload, "POST", "/v1/datasets", **_multipart(files, name=name, task=task))

    def upload_folder(self, folder: Path, *, name: str | None = None, task: Task | None = None) -> StoredUpload:
        """Store the data files of a folder as a version; the folder's name stands in for a missing one.

        `files` of the answer also says which files were not sent, and why.
        """
        left_out: list[FileOutcome] = []
        files = read_folder(folder, left_out)
        stored = self.upload_dataset(files, name=name or folder.resolve().name, task=task)
        return stored.model_copy(update={"files": [*stored.files, *left_out]})

    def validate_dataset(
        self, files: Mapping[str, FileContent], *, name: str | None = None, task: Task | None = None
    ) -> ValidationReport:
        """What is wrong with files, by file and line; nothing is stored."""
        return self._model(ValidationReport, "POST", "/v1/datasets/validate", **_multipart(files, name=name, task=task))

    def list_datasets(self, *, limit: int = 100, offset: int = 0) -> DatasetList:
        """Uploaded versions, the newest first, then the bundled datasets."""
        return self._model(DatasetList, "GET", "/v1/datasets", params=_given(limit=limit, offset=offset))

    def get_dataset(self, version: str) -> DatasetDetail:
        """A version, or a bundled dataset by name, with what the audit found."""
        return self._model(DatasetDetail, "GET", f"/v1/datasets/{_part(version)}")

    def list_examples(
        self,
        version: str,
        *,
        split: Split | None = None,
        part: Slice | None = None,
        contains: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ExamplePage:
        """Questions in file order; `part` is a slice."""
        params = _given(split=split, slice=part, contains=contains, limit=limit, offset=offset)
        return self._model(ExamplePage, "GET", f"/v1/datasets/{_part(version)}/examples", params=params)

    def list_documents(
        self, version: str, *, contains: str | None = None, limit: int = 20, offset: int = 0
    ) -> DocumentPage:
        """Documents in file order."""
        params = _given(contains=contains, limit=limit, offset=offset)
        return self._model(DocumentPage, "GET", f"/v1/datasets/{_part(version)}/documents", params=params)

    def get_dataset_files(self, version: str) -> dict[str, bytes]:
        """The files of a version as they are stored, content by name; uploaded again they give the same version."""
        packed = self._send("GET", f"/v1/datasets/{_part(version)}/files.zip").content
        try:
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                return {name: archive.read(name) for name in archive.namelist()}
        except zipfile.BadZipFile as error:
            raise ServiceError(f"{self.url} sent no archive of the dataset; is it Tuning Fork?") from error

    def freeze_dataset(self, version: str) -> DatasetDetail:
        """Make a version undeletable, for good."""
        return self._model(DatasetDetail, "POST", f"/v1/datasets/{_part(version)}/freeze")

    def delete_dataset(self, version: str) -> None:
        """Delete a version that is neither frozen nor used."""
        self._send("DELETE", f"/v1/datasets/{_part(version)}")

    def erase_dataset(self, version: str) -> DatasetErased:
        """Erase a version with everything that was made of it; what else may hold copies."""
        return self._model(DatasetErased, "POST", f"/v1/datasets/{_part(version)}/erase")

    # ---- side runs

    def generate_questions(
        self,
        request: QuestionRunRequest | Mapping[str, Any],
        files: Mapping[str, FileContent] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> QuestionRunView:
        """Queue a run that writes questions from the documents of a dataset, or of files that are sent."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
        sent = _plain(request)
        body = {"json": sent} if files is None else _multipart(files, **sent)
        return self._model(QuestionRunView, "POST", QUESTION_RUNS.path, headers=headers, **body)

    def measure_freshness(
        self, request: FreshnessRunRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> FreshnessRunView:
        """Queue a run that asks the arms of a finished comparison again with later editions of its documents."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
        return self._model(FreshnessRunView, "POST", FRESHNESS_RUNS.path, json=_plain(request), headers=headers)

    def list_runs(
        self, kind: SideRunKind[AnyRun], *, comparison_id: str | None = None, limit: int = 20, offset: int = 0
    ) -> SideRunList[AnyRun]:
        """Runs of a kind, the newest first; of freshness runs those on one comparison."""
        params = _given(comparison_id=comparison_id, limit=limit, offset=offset)
        return self._model(kind.page, "GET", kind.path, params=params)

    def get_run(self, kind: SideRunKind[AnyRun], run_id: str, *, wait_s: float = 0) -> AnyRun:
        """One run; as soon as it is over, at latest after `wait_s`."""
        path, timeout_s = f"{kind.path}/{_part(run_id)}", self._timeout_s + wait_s
        return self._model(kind.view, "GET", path, params=_given(wait_s=wait_s), timeout=timeout_s)

    def cancel_run(self, kind: SideRunKind[AnyRun], run_id: str) -> AnyRun:
        """Stop one that waits or runs."""
        return self._model(kind.view, "POST", f"{kind.path}/{_part(run_id)}/cancel")

    def resume_run(self, kind: SideRunKind[AnyRun], run_id: str) -> AnyRun:
        """Queue a failed or cancelled one again; it begins anew."""
        return self._model(kind.view, "POST", f"{kind.path}/{_part(run_id)}/resume")

    def delete_run(self, kind: SideRunKind[Any], run_id: str) -> None:
        """Delete one that is over; a dataset that it made stays."""
        self._send("DELETE", f"{kind.path}/{_part(run_id)}")

    # ---- comparisons

    def create_comparison(
        self, request: ComparisonRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> ComparisonDetail:
        """Queue a comparison. With a key of the caller's it may be sent again without harm."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
        return self._model(ComparisonDetail, "POST", "/v1/comparisons", json=_plain(request), headers=headers)

    def estimate_comparison(self, request: ComparisonRequest | Mapping[str, Any]) -> Estimate:
        """Time, tokens and money of a comparison, before it is started."""
        return self._model(Estimate, "POST", "/v1/comparisons/estimate", json=_plain(request))

    def list_base_models(self) -> BaseModelList:
        """Models and adapters to start a comparison with, those on the machine of the service first."""
        return self._model(BaseModelList, "GET", "/v1/base-models")

    def try_model(self, model: str, *, ask: bool = True) -> ModelTrialView:
        """Where a model is and how large; with `ask` its answer to a fixed question, if it can be tried now."""
        return self._model(ModelTrialView, "POST", "/v1/models/try", json={"model": model, "ask": ask}, timeout=300.0)

    def list_comparisons(
        self, *, state: ComparisonState | None = None, dataset: str | None = None, limit: int = 50, offset: int = 0
    ) -> ComparisonList:
        """Comparisons, the newest first."""
        params = _given(state=state, dataset=dataset, limit=limit, offset=offset)
        return self._model(ComparisonList, "GET", "/v1/comparisons", params=params)

    def get_comparison(self, comparison_id: str, *, wait_s: float = 0) -> ComparisonDetail:
        """One comparison; with `wait_s` (60 at most) as soon as it is over, at latest after so long."""
        return self._model(
            ComparisonDetail,
            "GET",
            f"/v1/comparisons/{_part(comparison_id)}",
            params=_given(wait_s=wait_s or None),
            timeout=self._timeout_s + wait_s,
        )

    def wait_for_comparison(self, comparison_id: str, *, timeout_s: float | None = None) -> ComparisonDetail:
        """The comparison once it is over; a service that restarts meanwhile is waited for.

        Raises:
            ServiceError: it is not over in time.
        """
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = 60.0 if ends_at is None else ends_at - time.monotonic()
            if left_s <= 0:
                raise ServiceError(f"{comparison_id} is not over after {timeout_s:g} s; it runs on, ask again later")
            try:
                found = self.get_comparison(comparison_id, wait_s=min(30.0, left_s))
            except ServiceError as error:
                if error.status not in (0, 429, 502, 503, 504):
                    raise
                time.sleep(min(left_s, error.retry_after_s or _PAUSE_S))
                continue
            if found.state.is_final:
                return found

    def stream_events(self, comparison_id: str, *, after: int = 0, reconnects: bool = True) -> Iterator[StreamedEvent]:
        """Events behind a number as they happen, without a gap, until the comparison is over.

        Args:
            reconnects: Wait for a service that restarts, and go on. Else the events end with the connection, or the
                failure is raised.
        """
        path = f"/v1/comparisons/{_part(comparison_id)}/events"
        while True:
            try:
                for event in self._stream("GET", path, headers={"Last-Event-ID": str(after)}):
                    after = event.id if event.id is not None else after
                    yield event
                if not reconnects or self.get_comparison(comparison_id).state.is_final:
                    return
            except ServiceError as error:
                if not reconnects or error.status not in (0, 429, 502, 503, 504):
                    raise
                time.sleep(error.retry_after_s or _PAUSE_S)

    def cancel_comparison(self, comparison_id: str) -> ComparisonDetail:
        """Stop it; what was measured stays readable."""
        return self._model(ComparisonDetail, "POST", f"/v1/comparisons/{_part(comparison_id)}/cancel")

    def resume_comparison(self, comparison_id: str) -> ComparisonDetail:
        """Queue a failed or cancelled one again; it goes on from what it has."""
        return self._model(ComparisonDetail, "POST", f"/v1/comparisons/{_part(comparison_id)}/resume")

    def rename_comparison(self, comparison_id: str, name: str) -> ComparisonSummary:
        """Give one another name; its id stays."""
        path = f"/v1/comparisons/{_part(comparison_id)}"
        return self._model(ComparisonSummary, "PATCH", path, json={"name": name})

    def delete_comparison(self, comparison_id: str) -> None:
        """Delete one that is over, with its reports."""
        self._send("DELETE", f"/v1/comparisons/{_part(comparison_id)}")

    def decide_again(self, comparison_id: str, request: WhatIfRequest | Mapping[str, Any]) -> WhatIfReply:
        """What the decision would be with other volumes, prices or constraints. Nothing is run."""
        path = f"/v1/comparisons/{_part(comparison_id)}/decision"
        return self._model(WhatIfReply, "POST", path, json=_plain(request))

    # ---- reports

    def recheck(self, comparison_id: str, request: RecheckRequest | Mapping[str, Any]) -> Recheck:
        """Whether its decision still holds. No model is asked."""
        path = f"/v1/comparisons/{_part(comparison_id)}/recheck"
        return self._model(Recheck, "POST", path, json=_plain(request))

    def last_recheck(self, comparison_id: str) -> LastRecheck:
        """What the service found when it last rechecked the decision by itself."""
        return self._model(LastRecheck, "GET", f"/v1/comparisons/{_part(comparison_id)}/recheck")

    def get_report(self, comparison_id: str, name: str = "report.json") -> bytes:
        """The content of one of `REPORT_NAMES`."""
        if name not in REPORT_NAMES:
            raise ServiceError(f"there is no report {name!r}; choose from {', '.join(REPORT_NAMES)}")
        return self._send("GET", f"/v1/comparisons/{_part(comparison_id)}/{name}").content

    def list_results(
        self,
        comparison_id: str,
        *,
        arm: str | None = None,
        failure: str | None = None,
        example_id: str | None = None,
        contains: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ResultPage:
        """Answers a page at a time; those that are there while the comparison runs."""
        params = _given(arm=arm, failure=failure, example_id=example_id, contains=contains, limit=limit, offset=offset)
        return self._model(ResultPage, "GET", f"/v1/comparisons/{_part(comparison_id)}/results", params=params)

    def list_questions(
        self,
        comparison_id: str,
        *,
        arm: str | None = None,
        failure: str | None = None,
        part: str | None = None,
        contains: str | None = None,
        differing: bool = False,
        since: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> QuestionGrid:
        """Test questions of a finished comparison with what each arm said; `part` is a slice, `since` a baseline."""
        params = _given(
            arm=arm, failure=failure, slice=part, contains=contains, since=since, limit=limit, offset=offset
        )
        params |= {"differing": True} if differing else {}
        return self._model(QuestionGrid, "GET", f"/v1/comparisons/{_part(comparison_id)}/questions", params=params)

    def first_look(self, comparison_id: str) -> FirstLook:
        """What the answers of each arm come to, and three test questions that show how the arms differ."""
        return self._model(FirstLook, "GET", f"/v1/comparisons/{_part(comparison_id)}/first-look")

    def list_handover_targets(self) -> HandoverTargets:
        """The tools that an arm can be handed over to."""
        return self._model(HandoverTargets, "GET", "/v1/handover-targets")

    def hand_over(self, comparison_id: str, arm: str, target: str) -> bytes:
        """An arm in another tool's form, as a zip archive; the weights of the larger forms make it as large."""
        path = f"/v1/comparisons/{_part(comparison_id)}/pipelines/{_part(arm)}/handover/{_part(target)}"
        return self._send("POST", path, timeout=HANDOVER_S).content

    def share_comparison(self, comparison_id: str) -> str:
        """The address that shows the verdict of a finished comparison without a key; an earlier one ends."""
        path = f"/v1/comparisons/{_part(comparison_id)}/share"
        return self.url + self._model(ShareCreated, "POST", path).path

    def unshare_comparison(self, comparison_id: str) -> None:
        """End the link to a verdict."""
        self._send("DELETE", f"/v1/comparisons/{_part(comparison_id)}/share")

    # ---- gate, baselines, votes

    def check_gate(self, comparison_id: str, rules: Mapping[str, Any]) -> dict[str, Any]:
        """Hold a finished comparison against thresholds and a baseline: verdict, headline, checks."""
        return self._object("POST", f"/v1/comparisons/{_part(comparison_id)}/gate", json=dict(rules))

    def set_baseline(self, name: str, comparison_id: str) -> dict[str, Any]:
        """Let a name stand for a comparison that has succeeded."""
        return self._object("PUT", f"/v1/baselines/{_part(name)}", json={"comparison_id": comparison_id})

    def get_baseline(self, name: str) -> dict[str, Any]:
        """The comparison a name stands for."""
        return self._object("GET", f"/v1/baselines/{_part(name)}")

    def list_baselines(self) -> list[dict[str, Any]]:
        """All baselines."""
        return _items(self._object("GET", "/v1/baselines"))

    def delete_baseline(self, name: str) -> None:
        """Forget a name. The comparison stays."""
        self._send("DELETE", f"/v1/baselines/{_part(name)}")

    def cast_vote(
        self, comparison_id: str, *, question: str, arms: tuple[str, str], preferred: str | None, voter: str = ""
    ) -> list[dict[str, Any]]:
        """Say which of two answers is better, None for neither; the tallies afterwards."""
        body = {"question": question, "arms": list(arms), "preferred": preferred, "voter": voter}
        return _items(self._object("POST", f"/v1/comparisons/{_part(comparison_id)}/votes", json=body))

    def list_votes(self, comparison_id: str) -> list[dict[str, Any]]:
        """The tally of each pair of arms."""
        return _items(self._object("GET", f"/v1/comparisons/{_part(comparison_id)}/votes"))

    def next_label(self, comparison_id: str, *, voter: str = "") -> dict[str, Any]:
        """The next answer to label, and how far the comparison is labelled."""
        return self._object("GET", f"/v1/comparisons/{_part(comparison_id)}/labels", params={"voter": voter})

    def next_pair(self, comparison_id: str, *, voter: str = "") -> dict[str, Any]:
        """The next two answers to vote between."""
        return self._object("GET", f"/v1/comparisons/{_part(comparison_id)}/pairs", params={"voter": voter})

    def cast_pair(self, comparison_id: str, *, example_id: str, better: str | None, voter: str) -> dict[str, Any]:
        """Say which answer of a pair is better, None for neither; then as `next_pair`."""
        body = {"example_id": example_id, "better": better, "voter": voter}
        return self._object("POST", f"/v1/comparisons/{_part(comparison_id)}/pairs", json=body)

    def cast_label(
        self, comparison_id: str, *, example_id: str, answer: str, good: bool | None, voter: str = ""
    ) -> dict[str, Any]:
        """Say whether an answer is good, None to leave it out; then as `next_label`."""
        body = {"example_id": example_id, "answer": answer, "good": good, "voter": voter}
        return self._object("POST", f"/v1/comparisons/{_part(comparison_id)}/labels", json=body)

    # ---- querying and deploying

    def ask(
        self, comparison_id: str, kind: str, questions: Sequence[str], *, timeout_s: float = 300.0
    ) -> list[dict[str, Any]]:
        """An arm's answers in the order of the questions, each with sources, tokens, latency and cost."""
        path = f"/v1/comparisons/{_part(comparison_id)}/pipelines/{_part(kind)}/answers"
        reply = self._object("POST", path, json={"questions": list(questions)}, timeout=timeout_s)
        return list(reply["answers"])

    def ask_all(self, comparison_id: str, question: str, *, timeout_s: float = 300.0) -> list[dict[str, Any]]:
        """All arms' answers to one question; an arm that cannot answer has an `error`."""
        path = f"/v1/comparisons/{_part(comparison_id)}/answers"
        return list(self._object("POST", path, json={"question": question}, timeout=timeout_s)["arms"])

    def stream_answer(self, comparison_id: str, kind: str, question: str) -> Iterator[StreamedEvent]:
        """`piece` events with text as it is generated, then one `answer` event, or a `problem`."""
        path = f"/v1/comparisons/{_part(comparison_id)}/pipelines/{_part(kind)}/answers/stream"
        return self._stream("POST", path, json={"question": question})

    def deploy(self, alias: str, comparison_id: str, kind: str) -> dict[str, Any]:
        """Let an alias serve an arm of a finished comparison."""
        body = {"comparison_id": comparison_id, "kind": kind}
        return self._object("PUT", f"/v1/deployments/{_part(alias)}", json=body)

    def get_deployment(self, alias: str) -> dict[str, Any]:
        """What an alias serves and served."""
        return self._object("GET", f"/v1/deployments/{_part(alias)}")

    def list_deployments(self) -> list[dict[str, Any]]:
        """What each alias serves."""
        return _items(self._object("GET", "/v1/deployments"))

    def roll_back(self, alias: str, revision: int | None = None) -> dict[str, Any]:
        """Serve again what was served before, or at a revision."""
        return self._object("POST", f"/v1/deployments/{_part(alias)}/rollback", json={"revision": revision})

    def delete_deployment(self, alias: str) -> None:
        """Forget an alias and its history."""
        self._send("DELETE", f"/v1/deployments/{_part(alias)}")

    # ---- keys, advice, health

    def create_key(
        self,
        name: str,
        scopes: Sequence[Scope] = (Scope.READ,),
        *,
        workspace: str | None = None,
        requests_per_minute: int | None = None,
        max_spend_usd: float | None = None,
    ) -> KeyCreated:
        """Make a key; its secret is shown this once."""
        limits = {"requests_per_minute": requests_per_minute, "max_spend_usd": max_spend_usd}
        body = {"name": name, "scopes": list(scopes), "workspace": workspace, **limits}
        return self._model(KeyCreated, "POST", "/v1/keys", json=body)

    def list_keys(self) -> KeyList:
        """All keys without their secrets."""
        return self._model(KeyList, "GET", "/v1/keys")

    def revoke_key(self, key_id: str) -> KeyView:
        """Make a key open nothing from now on."""
        return self._model(KeyView, "DELETE", f"/v1/keys/{_part(key_id)}")

    def get_questionnaire(self) -> QuestionnaireView:
        """The questions to answer before tuning anything."""
        return self._model(QuestionnaireView, "GET", "/v1/questionnaire")

    def advise(self, answers: Mapping[str, Any]) -> PriorRecommendation:
        """What answers to the questionnaire speak for."""
        return self._model(PriorRecommendation, "POST", "/v1/advise", json={"answers": dict(answers)})

    def get_catalogue(self) -> CatalogueView:
        """Models worth comparing, and what this service measured."""
        return self._model(CatalogueView, "GET", "/v1/catalogue")

    def is_alive(self) -> bool:
        """Whether the service answers."""
        try:
            return bool(self._model(Health, "GET", "/healthz").status)
        except ServiceError:
            return False

    def get_readiness(self) -> Health:
        """Whether the service can work.

        Raises:
            ServiceError: it cannot, and why.
        """
        return self._model(Health, "GET", "/readyz")

    # ---- one request

    def _model(self, kind: type[_M], method: str, path: str, **options: Any) -> _M:
        response = self._send(method, path, **options)
        try:
            return TypeAdapter(kind).validate_json(response.content)
        except ValidationError as error:
            raise ServiceError(
                f"{self.url} gave an answer to {method} {path} that this version does not understand "
                f"({error.errors()[0]['msg']}); use a client and a service of one version",
                status=response.status_code,
            ) from error

    def _object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._send(method, path, **options)
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ServiceError(f"{self.url} answered {method} {path} with no JSON object; is it Tuning Fork?")
        return value

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise _service_error(response)
        return response

    def _stream(self, method: str, path: str, **options: Any) -> Iterator[StreamedEvent]:
        with self._opened(method, path, **options) as response:
            try:
                yield from _parse_events(_lines(response.iter_bytes()))
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error

    @contextmanager
    def _opened(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(self._timeout_s, read=max(60.0, self._timeout_s))
        request = self._http.build_request(method, path, timeout=timeout, **options)
        try:
            response = self._http.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._unreachable(error) from error
        try:
            if not response.is_success:
                response.read()
                raise _service_error(response)
            yield response
        finally:
            response.close()

    def _unreachable(self, error: Exception) -> ServiceError:
        why = str(error) or type(error).__name__
        return ServiceError(
            f"{self.url} cannot be reached ({why}); start it with `tuningfork serve`, or fix the address"
        )


def read_folder(folder: Path, left_out: list[FileOutcome] | None = None) -> dict[str, bytes]:
    """The data files of a folder by relative name.

    Args:
        left_out: Gets the files that are hidden or of other kinds.

    Raises:
        ServiceError: there is no such folder, or no data file in it.
    """
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not (why := why_not_sent(relative)):
            files[relative.as_posix()] = path.read_bytes()
        elif path.is_file() and left_out is not None and not _is_below_hidden(relative):
            left_out.append(FileOutcome(name=relative.as_posix(), fate=Fate.LEFT_OUT, detail=why))
        elif path.is_dir() and left_out is not None and path.name.startswith(".") and not _is_below_hidden(relative):
            left_out.append(FileOutcome(name=relative.as_posix(), fate=Fate.LEFT_OUT, detail="a hidden folder"))
    if not files:
        raise ServiceError(f"{folder} holds no data file; give a folder with documents and a .csv of questions")
    return files


def _is_below_hidden(name: PurePath) -> bool:
    return any(part.startswith(".") for part in name.parts[:-1])


def why_not_sent(name: PurePath) -> str:
    """Why a file is no part of an upload; "" where it is one."""
    if any(part.startswith(".") for part in name.parts):
        return "a hidden file or folder"
    if name.suffix.lower() in DATA_ENDINGS:
        return ""
    return why_not_read(name.name) or other_kind()


def _multipart(files: Mapping[str, FileContent], **fields: Any) -> dict[str, Any]:
    parts = [("files", (file_name, content)) for file_name, content in files.items()]
    return {"files": parts, "data": _given(**fields), "timeout": None}


def _given(**values: Any) -> dict[str, Any]:
    return {key: str(value) for key, value in values.items() if value is not None}


def _plain(request: RequestBody | Mapping[str, Any]) -> Any:
    return request.sent() if isinstance(request, RequestBody) else dict(request)


def _items(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(page["items"])


def _part(text: str) -> str:
    """Text as one part of a path, whatever is in it."""
    return quote(text, safe="") if text not in (".", "..") else text.replace(".", "%2E")


def _service_error(response: httpx.Response) -> ServiceError:
    problem: ProblemDetails | None = None
    try:
        problem = ProblemDetails.model_validate_json(response.content)
    except ValidationError:
        message = f"the service answered {response.status_code} {response.reason_phrase}; see its logs"
    else:
        message = f"{problem.title}: {problem.detail}"
    error = ServiceError(message, status=response.status_code, problem=problem)
    wait = response.headers.get("retry-after", "")
    error.retry_after_s = float(wait) if wait.isdigit() else None
    return error


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Lines that end in a line feed. Other separators that Unicode knows may stand in the texts themselves."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.removesuffix(b"\r").decode("utf-8") for line in whole)


def _parse_events(lines: Iterator[str]) -> Iterator[StreamedEvent]:
    """Server-sent events of a stream of lines; one that is cut off at the end is not given out."""
    number: int | None = None
    kind = "message"
    data: list[str] = []
    for line in lines:
        if line == "":
            if data:
                yield StreamedEvent(number, kind, json.loads("\n".join(data)))
            number, kind, data = None, "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id" and value.isdigit():
            number = int(value)
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)
