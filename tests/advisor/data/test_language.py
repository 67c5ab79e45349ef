import pytest

from advisor.data.language import content_words, language_of, script_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How long is the warranty of my kettle?", "English"),
        ("Wie lange ist die Garantie auf den Kessel?", "German"),
        ("Quelle est la durée de la garantie pour les bouilloires ?", "French"),
        ("¿Cuál es la garantía del hervidor y cómo se pide?", "Spanish"),
        ("Qual é a garantia da chaleira e como se pede para uma?", "Portuguese"),
        ("Hoe lang is de garantie van het apparaat?", "Dutch"),
        ("Come si usa il bollitore e per quanto dura la garanzia?", "Italian"),
        ("Какая гарантия на чайник?", "Cyrillic"),
        ("စက်ကို ဘယ်လိုပြန်စရမလဲ။", "Myanmar"),
        ("كيف أعيد تشغيل الجهاز؟", "Arabic"),
        ("保証期間はどのくらいですか", "CJK"),
        ("E 42?", None),
        ("12 345", None),
        ("Kettle warranty length", None),
    ],
)
def test_languages_are_told_by_script_and_commonest_words(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_a_text_of_two_scripts_alike_has_none() -> None:
    assert script_of("warranty гарантия") is None


def test_content_words_are_what_is_left_without_function_words() -> None:
    assert content_words("How long is the warranty?") == {"long", "warranty"}
    assert content_words("Wie lange ist die Garantie?") == {"lange", "garantie"}
