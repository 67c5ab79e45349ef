"""`tuningfork ci`: a comparison and its gate, for continuous integration."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lm.errors import ConfigError, TuningForkError
from service.cli.options import Home
from service.cli.terminal import plain_console, printable
from service.store.data_directory import RECORDS_FILE, REPORT_FILE, DataDirectory

if TYPE_CHECKING:
    from advisor.gate.baseline import GatedComparison
    from advisor.gate.gate import GateOutcome
    from service.cli.ci.config import CiConfig

EXIT_CODES = {"pass": 0, "fail": 1, "cannot compare": 2}
GATE_FILE = "gate.json"
SCHEMA_VERSION = 1

_OUT = plain_console()


def ci(
    config: Annotated[
        Path, typer.Argument(metavar="[CONFIG]", help="File of settings; docs/ci.md describes it.", show_default=True)
    ] = Path("tuning-fork.toml"),
    out: Annotated[Path, typer.Option(help="Folder for report.md, junit.xml, gate.json and the report.")] = Path(
        "tuning-fork-report"
    ),
    api: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A Tuning Fork server to compare on, with a key in TUNING_FORK_API_KEY. [default: compare here]",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Compare, and fail a pull request on evidence.

    Holds the result against thresholds and a baseline, and writes what the pull request is told.

    Exit codes: 0 the gate passed, 1 it failed, 2 it cannot compare or something must be fixed.
    """
    from advisor.evidence.records import read_records
    from advisor.report.texts.gate_junit import gate_junit
    from advisor.report.texts.gate_markdown import gate_markdown
    from advisor.results.json_report import read_comparison
    from advisor.results.plain_data import to_json, to_plain
    from lm.files import write_whole
    from service.cli.ci.config import read_ci_config

    _make_folder(out)
    try:
        settings = read_ci_config(config)
        if api is not None:
            outcome, files = _on_server(settings, api)
        else:
            outcome, files = _here(settings, DataDirectory.from_environment(home))
    except TuningForkError as error:
        _write_failure(out, str(error))
        raise
    text = {name: content.decode("utf-8") for name, content in files.items()}
    comparison = read_comparison(text[REPORT_FILE])
    records = read_records(text[RECORDS_FILE].split("\n"))
    text["report.md"] = gate_markdown(outcome, comparison, records)
    text["junit.xml"] = gate_junit(outcome)
    text[GATE_FILE] = to_json({"schema_version": SCHEMA_VERSION, **to_plain(outcome)}, indent=2) + "\n"
    for name, content in text.items():
        write_whole(out / name, content)
    _OUT.print(printable(outcome.headline), style="bold", soft_wrap=True)
    for check in outcome.checks:
        _OUT.print(printable(f"  {check.verdict}: {check.name}. {check.reason}"), soft_wrap=True)
    for note in outcome.notes:
        _OUT.print(printable(f"  {note}"), soft_wrap=True)
    _OUT.print(f"Written: {out / 'report.md'}", soft_wrap=True)
    raise typer.Exit(EXIT_CODES[outcome.verdict.value])


def _here(config: "CiConfig", directory: DataDirectory) -> "tuple[GateOutcome, Mapping[str, bytes]]":
    from advisor.data.files import load_dataset
    from advisor.gate.gate import evaluate_gate
    from advisor.report.formats import REPORT_FILES
    from lm.model_identity import model_identity
    from service.cli.ci.config import refuse_other_metrics
    from service.cli.console import progress_bars
    from service.cli.terminal import show
    from service.jobs.job import run_command
    from service.run.composition import LocalComposition

    if config.rules.baseline is not None and config.baseline_path is None:
        raise ConfigError("gate.baseline has no path; name the folder that holds the stored comparison")
    settings = config.settings
    refuse_other_metrics(config.rules, load_dataset(settings.dataset_folder, task=settings.task).card)
    before = _stored_baseline(config.baseline_path)
    with progress_bars(_OUT) as on_progress:
        folder = run_command(settings, directory, LocalComposition, model_identity, on_progress=on_progress, tell=show)
    now = read_stored_folder(folder)
    names = (REPORT_FILE, RECORDS_FILE, REPORT_FILES["html"])
    return evaluate_gate(config.rules, now, before), {name: (folder / name).read_bytes() for name in names}


def _on_server(config: "CiConfig", api: str) -> "tuple[GateOutcome, Mapping[str, bytes]]":
    from service.cli.ci.server import KEY_VARIABLE, run_on_server
    from service.cli.terminal import show
    from service.contract.client import ServiceClient

    if not api.startswith(("http://", "https://")):
        raise ConfigError(f"--api {api!r} is no web address; give one like https://host:8000")
    with ServiceClient(api, os.environ.get(KEY_VARIABLE)) as client:
        return run_on_server(config, client, show)


def _stored_baseline(folder: Path | None) -> "GatedComparison | None":
    """The stored comparison; None where there is no such folder yet, which the gate then says."""
    if folder is None or not folder.is_dir():
        return None
    return read_stored_folder(folder)


def read_stored_folder(folder: Path) -> "GatedComparison":
    """`report.json` and `results.jsonl` of a folder.

    Raises:
        ConfigError: one of them is missing.
        EvaluationError: one is damaged.
    """
    from advisor.evidence.records import read_records
    from advisor.gate.baseline import GatedComparison
    from advisor.results.json_report import read_comparison

    for name in (REPORT_FILE, RECORDS_FILE):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{folder / name} is missing; a baseline is a folder with {REPORT_FILE} and {RECORDS_FILE}, as "
                "`tuningfork ci --out` writes them"
            )
    with (folder / RECORDS_FILE).open(encoding="utf-8", newline="\n") as lines:
        records = read_records(lines, str(folder / RECORDS_FILE))
    return GatedComparison(
        read_comparison((folder / REPORT_FILE).read_text(encoding="utf-8"), str(folder / REPORT_FILE)), records
    )


def _write_failure(out: Path, message: str) -> None:
    """What the pull request is told where there is nothing to report; the error itself goes on to the terminal."""
    from advisor.report.texts.gate_junit import failed_gate_junit
    from advisor.report.texts.gate_markdown import failed_gate_markdown
    from advisor.results.plain_data import to_json
    from lm.files import write_whole

    outcome = {"schema_version": SCHEMA_VERSION, "verdict": "cannot compare", "headline": message}
    write_whole(out / "report.md", failed_gate_markdown(message))
    write_whole(out / "junit.xml", failed_gate_junit(message))
    write_whole(
        out / GATE_FILE,
        to_json({**outcome, "checks": [], "notes": [], "comparison": None, "baseline": None}, indent=2) + "\n",
    )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"reports cannot be written to {out}: {error.strerror}; choose another --out") from None
