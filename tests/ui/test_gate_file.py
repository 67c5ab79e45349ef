import tomllib

from service.ci_config import read_ci_config
from ui.gate_file import GateDraft, ThresholdDraft, gate_rules, gate_toml

DRAFT = GateDraft("appliance-support", False, (ThresholdDraft("rag", "exact_match", "at least", 0.6),), "main")


def test_the_request_asks_what_was_drafted() -> None:
    assert gate_rules(DRAFT) == {
        "thresholds": [{"arm": "rag", "measure": "exact_match", "at_least": 0.6}],
        "baseline": {"name": "main"},
    }


def test_the_file_is_one_that_the_command_reads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "tuning-fork.toml"
    path.write_text(gate_toml(DRAFT, {"model": "pocket", "pipelines": ["base", "rag"], "limit": 50, "judge": None}))
    config = read_ci_config(path)
    assert config.settings.pipelines == ("base", "rag")
    assert config.settings.limit == 50
    assert config.baseline_name == "main"


def test_names_with_quotes_stay_inside_their_string() -> None:
    text = gate_toml(GateDraft('a"\n[gate]\\', True, ()), {})
    assert tomllib.loads(text)["dataset"] == 'a"\n[gate]\\'
