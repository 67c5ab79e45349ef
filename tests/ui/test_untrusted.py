import re

import pytest

from ui.untrusted import shown

ZWSP = "\u200b"


def test_links_and_pictures_are_dead() -> None:
    assert shown("![x](y) [x](y)") == "!\\[x](y) \\[x](y)"


def test_html_is_text() -> None:
    assert shown("<img src=x onerror=alert(1)>") == "&lt;img src=x onerror=alert(1)&gt;"


@pytest.mark.parametrize("text", ["http://evil.example", "www.evil.example", "me@evil.example"])
def test_bare_addresses_are_not_made_links(text: str) -> None:
    assert not re.search(r"https?://|www\.|@\w", shown(text))


@pytest.mark.parametrize("text", [":red[alarm]", ":smile:", ":material/delete:", "a:b", ":+1:"])
def test_streamlit_directives_are_text(text: str) -> None:
    escaped = shown(text)
    assert f":{ZWSP}" in escaped
    assert ":r" not in escaped
    assert ":s" not in escaped


def test_formulas_are_text() -> None:
    assert shown("$x$ costs $5") == "\\$x\\$ costs \\$5"


@pytest.mark.parametrize("text", ["->", "<-", "-->", "=>"])
def test_signs_do_not_become_arrows(text: str) -> None:
    assert ZWSP in shown(text)


@pytest.mark.parametrize("text", ["ရန်ကုန်မြို့", "مرحبا بالعالم", "👩‍🔧 ok"])
def test_other_scripts_and_emoji_pass_unharmed(text: str) -> None:
    assert shown(text) == text


def test_long_text_is_cut_with_an_ellipsis() -> None:
    assert shown("x" * 50, 10) == "x" * 9 + "…"
