import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from advisor.audit.check import Check
from lm.completion import Messages
from lm.errors import LanguageModelError, TuningForkError
from service.run.finished.asking import read_finished
from service.run.measuring import BLOCK_QUESTIONS, LATENCY_QUESTIONS, LATENCY_WARM_UP
from service.run.progress import Progress
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from conftest import Workplace

N_TEST = 99
N_BLOCKS = 2
MONEY = frozenset({"cost", "break_evens", "flips", "flip_map"})
TIMES = MONEY | {"created_at", "wall_s", "throughput_per_s", "latency", "latency_s", "usd"}


def timeless(value: Any) -> Any:
    """A report without what differs between two equal runs."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def report_of(workplace: "Workplace", comparison_id: str) -> Any:
    return timeless(json.loads((workplace.directory.comparison(comparison_id) / "report.json").read_text()))


def failing_after(n_answers: int, error: BaseException, answer: Callable[[Messages], str]) -> Callable[[Messages], str]:
    """An answer function that ends the run after so many answers."""
    given = 0

    def answer_or_fail(prompt: Messages) -> str:
        nonlocal given
        given += 1
        if given > n_answers:
            raise error
        return answer(prompt)

    return answer_or_fail


def test_a_run_writes_all_reports_records_and_settings(workplace: "Workplace") -> None:
    comparison = workplace.run()
    folder = workplace.directory.comparison(comparison.id)
    assert {path.name for path in folder.iterdir()} == {
        "report.json", "report.md", "report.html", "junit.xml", "results.jsonl", "settings.json", "decision.json",
    }  # fmt: skip
    assert len((folder / "results.jsonl").read_text().splitlines()) == 3 * N_TEST
    assert [arm.kind for arm in comparison.arms] == ["base", "few-shot", "majority"]
    assert comparison.model == "scripted"
    few_shot = comparison.arm("few-shot").metric("exact_match")
    base = comparison.arm("base").metric("exact_match")
    assert few_shot and base and few_shot.interval and base.interval
    assert few_shot.interval.estimate > base.interval.estimate


def test_a_verdict_that_hangs_on_its_metric_says_so_with_figures_in_every_report(workplace: "Workplace") -> None:
    def answer(prompt: Messages) -> str:
        """Without worked examples right half the time and alone; with them always right, in a sentence."""
        number = "".join(filter(str.isdigit, prompt[-1].content))
        if len(prompt) > 1:
            return f"The colour of that thing is c{number} as far as anybody knows."
        return f"c{number}" if int(number) % 2 == 0 else "c0"

    card = workplace.folder / "dataset.toml"
    card.write_text(card.read_text().replace('"token_f1"', '"contains_answer", "token_f1"'))
    workplace.answer = answer
    comparison = workplace.run()
    assert comparison.recommendation.arm == "base"
    assert [(one.metric, one.arm, one.changes) for one in comparison.metric_verdicts] == [
        ("contains_answer", "few-shot", True),
        ("token_f1", "base", False),
    ]
    (finding,) = (one for one in comparison.findings if one.check == Check.OTHER_METRIC)
    assert finding.message.startswith("By contains_answer few-shot would win: few-shot ")
    folder = workplace.directory.comparison(comparison.id)
    for name in ("report.json", "report.md", "report.html"):
        text = (folder / name).read_text()
        assert "By contains_answer few-shot would win" in text.replace("\\", ""), name


def test_the_dtype_of_a_local_base_model_is_on_record(workplace: "Workplace") -> None:
    assert workplace.run().dtype == ""
    compose = workplace.compose

    def composing(*parts: Any) -> Any:
        composition = compose(*parts)
        composition.model.dtype_name = "float32"  # type: ignore[attr-defined]
        return composition

    workplace.compose = composing  # type: ignore[method-assign, assignment]
    comparison = workplace.run(replace(workplace.settings, margin=0.03))
    assert comparison.dtype == "float32"
    folder = workplace.directory.comparison(comparison.id)
    assert json.loads((folder / "decision.json").read_text())["dtype"] == "float32"
    assert json.loads((folder / "report.json").read_text())["dtype"] == "float32"


def test_the_same_run_again_asks_nothing_and_gives_the_same(workplace: "Workplace") -> None:
    first = workplace.run()
    second = workplace.run()
    assert second == first
    assert len(workplace.compositions) == 1


def test_each_question_is_asked_once_an_arm_and_a_few_again_for_latency(workplace: "Workplace") -> None:
    workplace.run()
    assert workplace.n_calls == 2 * (N_BLOCKS + LATENCY_QUESTIONS + LATENCY_WARM_UP)
    assert workplace.compositions[0].n_closed == 1


def test_arms_come_in_the_order_asked_for_with_references_last(workplace: "Workplace") -> None:
    comparison = workplace.run(replace(workplace.settings, arms=("few-shot", "base")))
    assert [arm.kind for arm in comparison.arms] == ["few-shot", "base", "majority"]


def test_an_interrupted_run_goes_on_where_it_was_and_ends_the_same(
    workplace: "Workplace", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = workplace.run()
    expected = report_of(workplace, whole.id)
    n_uninterrupted = workplace.n_calls

    workplace.directory = DataDirectory(tmp_path / "other home")
    answer = workplace.answer
    workplace.compositions.clear()
    workplace.answer = failing_after(BLOCK_QUESTIONS + 5, KeyboardInterrupt(), answer)
    with pytest.raises(KeyboardInterrupt):
        workplace.run()
    assert workplace.compositions[0].n_closed == 1
    assert list(workplace.directory.root.glob("comparisons/*")) == []

    workplace.compositions.clear()
    workplace.answer = answer
    resumed = workplace.run()
    assert resumed.id == whole.id
    assert workplace.n_calls == n_uninterrupted - 1
    assert report_of(workplace, resumed.id) == expected


def test_a_failed_run_leaves_earlier_results_as_they_were(compared: "Workplace") -> None:
    first = compared.run()
    folder = compared.directory.comparison(first.id)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    compared.answer = failing_after(10, LanguageModelError("the server went away"), compared.answer)
    with pytest.raises(LanguageModelError, match=r"the server went away \(arm base, questions t\d+ to t\d+\)"):
        compared.run(replace(compared.settings, seed=1, limit=70, coverage=0.4))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [first.id]


def test_a_missing_file_of_a_finished_comparison_is_made_anew_without_asking(compared: "Workplace") -> None:
    first = compared.run()
    expected = report_of(compared, first.id)
    compared.compositions.clear()
    for name in ("report.json", "settings.json"):
        path = compared.directory.comparison(first.id) / name
        path.unlink()
        compared.run()
        assert path.is_file()
        assert report_of(compared, first.id) == expected
    assert compared.n_calls == 0


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe"])
def test_a_damaged_report_is_made_anew_without_asking(compared: "Workplace", damage: bytes) -> None:
    first = compared.run()
    (compared.directory.comparison(first.id) / "report.json").write_bytes(damage)
    compared.compositions.clear()
    assert compared.run().recommendation == first.recommendation
    assert compared.n_calls == 0


@pytest.mark.parametrize("damage", ["[]", '{"base": {"p50": 1}}'])
def test_damaged_latencies_are_measured_again(compared: "Workplace", damage: str) -> None:
    first = compared.run()
    (path,) = (compared.directory.root / "stages" / "latency").iterdir()
    path.write_text(damage)
    (compared.directory.comparison(first.id) / "report.json").unlink()
    compared.compositions.clear()
    again = compared.run()
    latency = again.arm("base").latency
    assert latency is not None
    assert len(latency.waits_s) == latency.n == LATENCY_QUESTIONS
    assert compared.n_calls == 2 * (LATENCY_QUESTIONS + LATENCY_WARM_UP)


def test_reports_name_files_and_what_asks_again_finds_them(compared: "Workplace") -> None:
    made = compared.run()
    assert made.settings["dataset"] == compared.folder.name
    folder = compared.directory.comparison(made.id)
    for name in ("report.json", "report.md", "report.html"):
        assert str(compared.folder) not in (folder / name).read_text()
    assert read_finished(compared.directory, made.id).settings.dataset_folder == compared.folder


def test_changed_data_is_another_comparison(compared: "Workplace") -> None:
    first = compared.run()
    path = compared.folder / "questions.jsonl"
    path.write_text(path.read_text().replace("Who painted 0?", "Who sold 0?"))
    assert compared.run().id != first.id


def test_a_question_longer_than_the_context_is_refused_by_id_before_any_is_asked(workplace: "Workplace") -> None:
    path = workplace.folder / "questions.jsonl"
    path.write_text(path.read_text().replace("Who painted 3?", "Who painted 3" + " and 3" * 300 + "?"))
    workplace.context_tokens = 200
    with pytest.raises(LanguageModelError, match=r"the question u3 has \d+ tokens.*shorten or remove it"):
        workplace.run()
    assert workplace.n_calls == 0


def test_progress_names_each_stage_and_ends_each_arm_complete(workplace: "Workplace") -> None:
    seen: list[Progress] = []
    workplace.run(on_progress=seen.append)
    assert list(dict.fromkeys(progress.stage for progress in seen)) == ["answer", "latency", "score", "report"]
    last = {progress.arm: progress for progress in seen if progress.stage == "answer"}
    assert {arm: (p.done, p.total) for arm, p in last.items()} == dict.fromkeys(
        ("base", "few-shot", "majority"), (N_TEST, N_TEST)
    )


def test_an_unknown_metric_is_refused_before_anything_is_built(workplace: "Workplace") -> None:
    card = workplace.folder / "dataset.toml"
    card.write_text(card.read_text().replace("exact_match", "exact_mach"))
    with pytest.raises(TuningForkError, match="exact_mach"):
        workplace.run()
    assert workplace.compositions == []
