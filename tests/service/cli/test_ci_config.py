from pathlib import Path

import pytest

from advisor.data.files import default_card
from advisor.gate.rules import BaselineRule, Threshold
from lm.errors import ConfigError
from service.cli.ci.config import read_ci_config, refuse_other_metrics
from service.run.settings import ComparisonSettings, Constrain

GATE = '[[gate.threshold]]\nmeasure = "exact_match"\nat_least = 0.6\n'


def read(folder: Path, text: str):  # type: ignore[no-untyped-def]
    path = folder / "tuning-fork.toml"
    path.write_text(text)
    return read_ci_config(path)


def test_the_smallest_file_has_the_defaults_of_the_command_line(tmp_path: Path) -> None:
    config = read(tmp_path, f'dataset = "appliance-support"\n{GATE}')
    assert config.settings == ComparisonSettings("appliance-support")
    assert config.rules.thresholds == (Threshold("exact_match", at_least=0.6),)
    assert (config.baseline_path, config.baseline_name) == (None, None)


@pytest.mark.parametrize("spec", ["gguf:models/small.gguf", "models/small.gguf"])
def test_a_gguf_file_lies_beside_the_file(tmp_path: Path, spec: str) -> None:
    config = read(tmp_path, f'dataset = "appliance-support"\n[comparison]\nmodel = "{spec}"\n{GATE}')
    assert config.settings.model == f"gguf:{tmp_path / 'models' / 'small.gguf'}"


def test_a_whole_file_is_read_and_its_paths_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    text = """
dataset = "data"

[comparison]
model = "hf:models/mine"
arms = ["base", "rag"]
limit = 50
top_k = 2
margin = 0.05
prices = "prices.toml"
tune_on = "questions"
constrain = "off"

[comparison.traffic]
queries_per_month = 500

[comparison.constraints]
must_cite_sources = true

[comparison.values]
right_usd = 1.0

[gate]
unclear = "fail"

[gate.baseline]
path = "baselines/main"
name = "main"
arms = ["rag"]
"""
    config = read(tmp_path, text)
    settings = config.settings
    assert settings.dataset == str(tmp_path / "data")
    assert settings.model == f"hf:{tmp_path / 'models' / 'mine'}"
    assert settings.arms == ("base", "rag")
    assert settings.constrain is Constrain.OFF
    assert settings.prices == tmp_path / "prices.toml"
    assert (settings.traffic.queries_per_month, settings.constraints.must_cite_sources) == (500.0, True)
    assert settings.values is not None
    assert settings.values.right_usd == 1.0
    assert config.rules.baseline == BaselineRule(("rag",))
    assert (config.baseline_path, config.baseline_name) == (tmp_path / "baselines/main", "main")
    assert ComparisonSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "dataset is missing"),
        ("dataset = 3", "dataset is missing"),
        ('dataset = "x"', r"\[gate\] is missing"),
        ('datasett = "x"', "the file has no setting 'datasett'"),
        ('dataset = "x"\ngate = 3', r"write \[gate\]"),
        ('dataset = "x', "not TOML"),
        (f'dataset = "x"\n[comparison]\ntopk = 3\n{GATE}', "comparison has no setting 'topk'"),
        (f'dataset = "x"\n[comparison]\ntop_k = "three"\n{GATE}', "top_k is 'three'; give a whole number"),
        (f'dataset = "x"\n[comparison]\ntop_k = 0\n{GATE}', "top_k is 0"),
        (f'dataset = "x"\n[comparison]\narms = "rag"\n{GATE}', "arms is 'rag'; give a list"),
        (f'dataset = "x"\n[comparison]\narms = ["rga"]\n{GATE}', r"arms has 'rga'; give \[NAME=\]KIND\[@MODEL\]"),
        (f'dataset = "x"\n[comparison]\ntask = "riddles"\n{GATE}', "task is 'riddles'"),
        (f'dataset = "x"\n[comparison]\nconstrain = "on"\n{GATE}', "constrain is 'on'"),
        (f'dataset = "x"\n[comparison]\nprices = 3\n{GATE}', "prices is 3; give a path"),
        (f'dataset = "x"\n[comparison]\ntrust_remote_code = true\n{GATE}', "no place here"),
        (f'dataset = "x"\n[comparison]\ndataset = "y"\n{GATE}', "at the top of the file"),
        (f'dataset = "x"\n[comparison.traffic]\nqueries = 3\n{GATE}', "comparison.traffic has no setting 'queries'"),
        (f'dataset = "x"\n[comparison.values]\nright = 3\n{GATE}', "comparison.values has no setting 'right'"),
        (f'dataset = "x"\n[comparison.values]\nwrong_usd = 3\n{GATE}', "values.right_usd is missing"),
        ('dataset = "x"\n[gate]\nresolution = 7\n[gate.baseline]', "resolution is 7"),
        ('dataset = "x"\n[gate.baseline]\npath = 7', "path: must be a text"),
        (
            f'dataset = "x"\n[comparison]\narms = ["rag"]\n{GATE}arm = "fine-tuned"',
            "gate.threshold number 1: the comparison has no arm 'fine-tuned'; it has rag",
        ),
        ('dataset = "x"\n[gate.baseline]\narms = ["base", "raft"]', "gate.baseline: the comparison has no arm 'raft'"),
        (f'dataset = "x"\n{GATE.replace("exact_match", "faithfulness")}', "faithfulness needs a judge; add judge to"),
        ('dataset = "x"\n[gate.baseline]\nmetrics = ["context_recall"]', "context_recall needs a judge"),
    ],
)
def test_wrong_files_are_refused_by_file_and_setting(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "tuning-fork.toml"))


def test_a_mark_of_byte_order_is_no_part_of_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, f'\ufeffdataset = "appliance-support"\n{GATE}').settings.dataset == "appliance-support"


def test_what_the_comparison_adds_itself_may_be_asked_of(tmp_path: Path) -> None:
    judged = GATE.replace("exact_match", "faithfulness") + 'arm = "oracle-context"\n'
    config = read(tmp_path, f'dataset = "x"\n[comparison]\njudge = "openai:m"\n{judged}')
    refuse_other_metrics(config.rules, default_card("x"))


def test_a_metric_the_dataset_does_not_name_is_refused(tmp_path: Path) -> None:
    config = read(tmp_path, f'dataset = "x"\n{GATE}[gate.baseline]\nmetrics = ["json_valid"]')
    with pytest.raises(ConfigError, match="gate.baseline: json_valid is not measured on the dataset x; add it to `met"):
        refuse_other_metrics(config.rules, default_card("x"))


def test_a_missing_file_is_shown_how_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is missing; write one(.|\n)*at_least = 0.6"):
        read_ci_config(tmp_path / "tuning-fork.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML"):
        read_ci_config(path)
