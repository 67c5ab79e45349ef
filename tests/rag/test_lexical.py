import pytest

from rag.lexical import LexicalRanking, best_positions, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Tide-9 spins at 1,400 rpm.", ["the", "tide", "9", "spins", "at", "1,400", "rpm"]),
        ("ＣＡＦÉ café", ["café", "café"]),
        ("東京タワーへ", ["東京", "京タ", "タワ", "ワー", "ーへ"]),
        ("水", ["水"]),
        ("70B မော်ဒယ်", ["70b", "မော်ဒယ်"]),
        ("... !", []),
    ],
)
def test_words_are_terms_and_in_scripts_without_spaces_pairs_of_clusters(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_a_passage_that_shares_no_term_is_not_found() -> None:
    ranking = LexicalRanking(["the drum takes cotton", "parcels go back", "wool takes long"])
    assert best_positions(ranking.scores("Which drum takes cotton?"), 10).tolist() == [0, 2]
    assert best_positions(ranking.scores("zebra"), 10).tolist() == []
    assert best_positions(ranking.scores("?!"), 10).tolist() == []


def test_rare_terms_count_for_more_than_frequent_ones_and_ties_keep_their_order() -> None:
    ranking = LexicalRanking(["oven red", "oven blue", "oven green", "oven red"])
    assert best_positions(ranking.scores("red oven"), 3).tolist() == [0, 3, 1]


def test_texts_without_any_term_can_be_searched() -> None:
    assert LexicalRanking(["…", "—"]).scores("anything").tolist() == [0, 0]
