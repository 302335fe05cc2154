from __future__ import annotations

import pytest

from tagger.inputs.clusters import MOST_BITS, Clusters


def test_each_feature_is_the_beginning_of_the_path() -> None:
    clusters = Clusters({"London": "0110010101", "dog": "10"}, (1, 4, 20))
    assert clusters.columns(["dog", "x", "London"]) == [
        ["1", "-", "0"],
        ["10", "-", "0110"],  # a shorter path is taken whole
        ["10", "-", "0110010101"],
    ]
    assert clusters.columns([]) == [[], [], []]


def test_a_token_without_a_path_has_that_of_its_first_variant() -> None:
    clusters = Clusters({"london": "00", "Paris": "01", "0000": "10", "caf\u00e9": "11"}, (2,))
    (paths,) = clusters.columns(["LONDON", "paris", "1984", "cafe\u0301"])
    assert paths == ["00", "-", "10", "11"]  # a word in lower case is not looked up in upper case


@pytest.mark.parametrize("path", ["", "01a", "0 1", "2", "٠", "0" * (MOST_BITS + 1)])
def test_a_path_of_anything_but_bits_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64 bits"):
        Clusters({"a": "0", "b": path}, (4,))


@pytest.mark.parametrize("bits", [(), (0,), (4, 4), (6, 4), (65,)])
def test_lengths_that_are_not_in_order_are_refused(bits: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected different numbers from 1 to 64 in order"):
        Clusters({"a": "0"}, bits)
