from pathlib import Path

import pytest

from service.cli.app import main

FRESH = """
as_of = 2100-01-01
source = "a list"
[models.m]
usd_per_million_input_tokens = 1
usd_per_million_output_tokens = 2
as_of = 2100-01-01
source = "a list"
"""


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        (FRESH, 0, "0 to look at, of 1 prices."),
        (FRESH.replace("2100", "2020"), 1, "model m: the price was read on 2020-01-01"),
        (FRESH + "shutdown_on = 2021-01-01\nshutdown_source = 's'", 1, "model m: shut down on 2021-01-01 (s)"),
    ],
)
def test_what_is_stale_is_named_and_decides_the_exit_code(
    text: str, code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["prices", "check", "--prices", str(path)])
    assert caught.value.code == code
    assert told in capsys.readouterr().out
