import numpy as np

from lm.pocket.neighbours import LOWEST_COSINE, nearest


def test_close_words_are_neighbours_and_far_ones_are_not() -> None:
    angles = np.array([0.0, 0.2, 0.5, 2.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = nearest(["price", "cost", "fee", "river"], vectors)
    assert found["price"] == ("cost", "fee")
    assert np.cos(0.5) > LOWEST_COSINE
    assert "river" not in found
