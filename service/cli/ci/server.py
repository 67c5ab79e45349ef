"""A comparison and its gate on a server, from a client's side."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from advisor.data.files import load_dataset
from advisor.gate.gate import GateOutcome
from advisor.report.formats import REPORT_FILES
from advisor.results.plain_data import from_plain
from lm.errors import ConfigError
from service.cli.ci.config import CiConfig, refuse_other_metrics
from service.contract.client import ServiceClient, ServiceError
from service.contract.comparison_state import ComparisonState
from service.store.bundled_datasets import bundled_datasets
from service.store.data_directory import RECORDS_FILE, REPORT_FILE

KEY_VARIABLE = "TUNING_FORK_API_KEY"


def run_on_server(
    config: CiConfig, client: ServiceClient, tell: Callable[[str], None]
) -> tuple[GateOutcome, Mapping[str, bytes]]:
    """Upload the dataset, compare, wait, and ask the gate; the outcome, and the report files by name.

    Args:
        tell: Shows a line.
    Raises:
        ConfigError: something in the file does not fit a server.
        ServiceError: the server refused, the comparison failed, or nobody answers.
    """
    rules = _gate(config)
    settings, version = config.settings, config.settings.dataset
    if version not in bundled_datasets():
        if not Path(version).is_dir():
            raise ConfigError(f"the dataset {version} is no folder and no bundled dataset; correct `dataset`")
        refuse_other_metrics(config.rules, load_dataset(settings.dataset_folder, task=settings.task).card)
        version = client.upload_folder(Path(version)).version
    comparison_id = client.create_comparison(_request(config, version)).id
    tell(f"The server compares: {comparison_id}")
    found = client.wait_for_comparison(comparison_id)
    if found.state is not ComparisonState.SUCCEEDED:
        raise ServiceError(f"the comparison {comparison_id} has {found.state}: {found.error or 'no reason given'}")
    outcome = from_plain(GateOutcome, client.check_gate(comparison_id, rules))
    names = (REPORT_FILE, RECORDS_FILE, REPORT_FILES["html"])
    return outcome, {name: client.get_report(comparison_id, name) for name in names}


def _gate(config: CiConfig) -> dict[str, Any]:
    body = dict(config.gate)
    body["thresholds"] = body.pop("threshold", [])
    if config.rules.baseline is not None:
        if config.baseline_name is None:
            raise ConfigError("gate.baseline has no name; with --api the baseline is one of the server's, by name")
        body["baseline"] = {**body["baseline"], "name": config.baseline_name}
    return body


def _request(config: CiConfig, version: str) -> dict[str, Any]:
    body = {**config.comparison, "dataset": version}
    for name in ("prices", "prior"):
        path: Path | None = getattr(config.settings, name)
        if path is not None:
            try:
                body[name] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise ConfigError(f"{path} cannot be read ({error}); correct comparison.{name}") from None
    return body
