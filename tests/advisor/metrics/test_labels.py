import pytest

from advisor.metrics.labels import same_label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Spam.", "spam"),
        (' "spam"\n', "Spam"),
        ("**spam**", "spam"),
        ("ＳＰＡＭ", "spam"),
        ("မေးခွန်း။", "မေးခွန်း"),
        ("?", "?"),
    ],
)
def test_case_spaces_and_punctuation_around_a_label_do_not_count(text: str, label: str) -> None:
    assert same_label(text, label)


@pytest.mark.parametrize(
    ("text", "label"),
    [("not spam", "spam"), ("spam mail", "spam"), ("C++", "C"), ("C#", "C"), ("", "spam"), ("...", "?"), ("A-", "A")],
)
def test_different_labels_stay_different(text: str, label: str) -> None:
    assert not same_label(text, label)
