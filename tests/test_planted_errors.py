"""Check the wrong labels that scripts/results/suspects.py plants, and how it counts what is found."""

from __future__ import annotations

import collections
import importlib
import random
from types import ModuleType

import pytest
from helpers import ROOT

from tagger.corpus.schemes import spans_from_tags


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts/results"))
    return importlib.import_module("suspects")


def sentences(n: int = 2000) -> list[str]:
    rng = random.Random(3)
    found = []
    for _ in range(n):
        tags = [rng.choice(["O", "O", "B-PER", "B-LOC"]) for _ in range(rng.randint(1, 12))]
        for i in range(1, len(tags)):
            if tags[i] == "O" and tags[i - 1] != "O" and rng.random() < 0.4:
                tags[i] = f"I-{tags[i - 1][2:]}"
        found.append("\n".join(f"w{i} {tag}" for i, tag in enumerate(tags)))
    return found


def tags_of(sentence: str) -> list[str]:
    return [line.split()[-1] for line in sentence.split("\n")]


def test_two_percent_of_the_entities_are_wrong_a_quarter_of_each_kind(script: ModuleType) -> None:
    before = sentences()
    after, wrong = script.planted(before, 1)
    n_entities = sum(len(spans_from_tags(tags_of(sentence))) for sentence in before)
    assert len(wrong) == round(0.02 * n_entities)
    counts = collections.Counter(kind for *_, kind in wrong)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert set(counts) == set(script.KINDS)
    assert len({i for i, *_ in wrong}) == len(wrong)
    changed = {i for i, (old, new) in enumerate(zip(before, after, strict=True)) if tags_of(old) != tags_of(new)}
    assert changed == {i for i, *_ in wrong}
    for i, start, end, kind in wrong:
        old, new = set(spans_from_tags(tags_of(before[i]))), set(spans_from_tags(tags_of(after[i])))
        gone, come = sorted(old - new), sorted(new - old)
        assert (len(gone), len(come)) == {"missed": (1, 0), "made up": (0, 1)}.get(kind, (1, 1))
        assert start == min(span.start for span in gone + come)
        assert end == max(span.end for span in gone + come)
        if kind == "type":
            assert (gone[0].start, gone[0].end) == (come[0].start, come[0].end)
            assert gone[0].type != come[0].type
        if kind == "boundary":
            assert gone[0].type == come[0].type
            assert abs(gone[0].start - come[0].start) + abs(gone[0].end - come[0].end) == 1


def test_a_found_error_is_counted_once(script: ModuleType) -> None:
    wrong = [(0, 1, 3, "type"), (4, 0, 1, "missed"), (5, 0, 1, "made up"), (6, 0, 1, "boundary")]
    places = [(0, 2, 4), (0, 1, 2), (4, 1, 2), (9, 0, 9), (5, 0, 1), (1, 0, 1), (1, 1, 2), (1, 2, 3), (6, 0, 1)]
    found = script.measured(places, wrong)
    assert found["precision_100"] == 4 / 100
    assert found["recall_2n"] == 2 / 4  # of the first eight places: the type, once, and what was made up
    assert found["recall_by_kind"] == {"type": 1.0, "missed": 0.0, "made up": 1.0, "boundary": 0.0}
