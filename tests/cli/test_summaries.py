"""The tables of the data and of the network at the start of a training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tagger.cli.summaries import format_data, format_network


def a_set(sentences: int, tokens: int, **types: int) -> Any:
    """Return the attributes of a `SetFacts`; the real one needs TensorFlow."""
    return SimpleNamespace(sentences=sentences, tokens=tokens, types=types, entities=sum(types.values()))


def data(train: Any, dev: Any = None, unseen: float | None = None) -> Any:
    return SimpleNamespace(train=train, dev=dev, unseen=unseen)


def test_the_data_are_shown_by_type_beside_each_other() -> None:
    assert format_data(data(a_set(1500, 20109, LOC=883, PER=8), a_set(250, 3554, LOC=144, ORG=1), 0.426)) == [
        "data                  train        dev",
        "sentences             1,500        250",
        "tokens               20,109      3,554",
        "entities                891        145",
        "  LOC                   883        144",
        "  ORG                     0          1",
        "  PER                     8          0",
        "43 % of the entities in dev do not occur in train",
    ]


def test_plain_tags_and_a_missing_dev_set_leave_rows_and_columns_out() -> None:
    assert format_data(data(a_set(1, 2))) == [
        "data                  train", "sentences                 1", "tokens                    2",
    ]  # fmt: skip


def test_many_types_are_not_all_shown_and_long_ones_are_cut() -> None:
    lines = format_data(data(a_set(1, 99, **{f"a-type-with-a-long-name-{i}": 30 - i for i in range(22)})))
    assert lines[-1] == "  and 2 rarer types"
    assert len(lines) == 4 + 20 + 1
    assert max(map(len, lines)) <= 40


def test_the_layers_are_shown_with_their_weights() -> None:
    layers: list[Any] = [
        SimpleNamespace(name="tokens", n_in=400000, n_out=100, n_weights=40_000_000),
        SimpleNamespace(name="block 1 backward", n_in=160, n_out=150, n_weights=186_600),
    ]
    assert format_network(layers) == [
        "network              in → out     weights",
        "tokens           400000 → 100  40,000,000",
        "block 1 backward    160 → 150     186,600",
        "all                            40,186,600",
    ]
