"""Tests of promptfoo: YAML with `vars` and `assert`, or a table with a column `__expected`.

Only assertions that give a reference are answers: equals, contains and their kin; what a model or code judges is none.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow
from advisor.data.prompt import ABSTENTION

_QUESTIONS = ("question", "query", "input", "prompt", "message", "user_input")
_CONTEXTS = ("context", "document", "passage")
_ONE = frozenset({"equals", "contains", "icontains", "similar", "starts-with"})
_ANY = frozenset({"contains-any", "icontains-any"})


def _is_promptfoo(value: Mapping[str, Any]) -> bool:
    return any(str(name).startswith("__expected") for name in value) or ("vars" in value and "assert" in value)


def _read(row: SourceRow, out: Imported) -> None:
    is_table = "vars" not in row.value
    variables = row.value if is_table else row.value["vars"]
    if not isinstance(variables, Mapping):
        out.wrong(row, '"vars" must be an object of texts')
        return
    asked = {name: text for name, text in variables.items() if not str(name).startswith("__") and name != "metadata"}
    name = next((one for one in _QUESTIONS if one in asked), next(iter(asked), "") if len(asked) == 1 else "")
    if not name:
        out.wrong(row, f"which variable is the question? name it question (there are {', '.join(asked) or 'none'})")
        return
    if any(isinstance(text, str) and text.startswith("file://") for text in asked.values()):
        out.leave_out(row, "its variables are in other files")
        return
    answers = _of_cells(row.value) if is_table else _of_assertions(row.value["assert"])
    if answers is None:
        out.wrong(row, '"assert" must be a list of objects with type and value')
        return
    if not answers:
        out.leave_out(row, "no assertion gives a reference answer")
        return
    cited = [out.add_document(row, asked[one]) for one in _CONTEXTS if isinstance(asked.get(one), str) and asked[one]]
    out.add_question(row, asked[name], answers, document_ids=[one for one in cited if one])


def _of_cells(value: Mapping[str, Any]) -> list[object]:
    answers: list[object] = []
    for name, cell in value.items():
        if not str(name).startswith("__expected") or not isinstance(cell, str) or not cell.strip():
            continue
        kind, colon, rest = cell.partition(":")
        kind = kind.split("(", 1)[0].strip()
        if colon and kind in _ANY:
            answers += [part.strip() for part in rest.split(",") if part.strip()]
        elif colon and kind in _ONE:
            answers.append(rest.strip())
        elif not (colon and kind in _OTHERS) and not kind.startswith(("not-", "fn", "eval")):
            answers.append(cell.strip())
    return answers


_OTHERS = frozenset(
    {"javascript", "python", "file", "grade", "llm-rubric", "is-json", "contains-json", "regex", "webhook", "cost"}
    | {"latency", "rouge-n", "levenshtein", "factuality", "answer-relevance", "context-recall", "context-relevance"}
    | {"context-faithfulness", "model-graded-closedqa", "is-valid-openai-tools-call", "perplexity", "contains-all"}
    | {"icontains-all", "is-refusal", "moderation", "select-best", "g-eval", "bleu", "is-sql", "is-xml"}
)


def _of_assertions(value: object) -> list[object] | None:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return None
    answers: list[object] = []
    for one in value:
        expected = one.get("value")
        if one.get("type") in _ONE and expected is not None:
            answers.append(str(expected))
        elif one.get("type") in _ANY and isinstance(expected, list):
            answers += [str(part) for part in expected]
    return answers


def _write(dataset: Dataset, folder: Path) -> None:
    import yaml

    tests = []
    for index, example in enumerate(dataset.examples):
        answers = list(example.answers) or [ABSTENTION]
        value: object = answers if len(answers) > 1 else answers[0]
        kind = "contains-any" if len(answers) > 1 else "equals"
        kept = kept_fields(dataset, index, also=("document_ids", "history"))
        tests.append(
            {"vars": {"question": example.question}, "assert": [{"type": kind, "value": value}], "metadata": kept}
        )
    text = yaml.safe_dump(tests, allow_unicode=True, sort_keys=False, width=110)
    (folder / "tests.yaml").write_text(text, encoding="utf-8")


PROMPTFOO = Format(
    "promptfoo",
    "tests of promptfoo",
    "the variable question is asked, assertions of equality or containment are answers",
    _is_promptfoo,
    each(_read),
    _write,
)
