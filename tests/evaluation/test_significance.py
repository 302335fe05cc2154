"""Comparing two models: against seqeval, against all exchanges, against a bootstrap drawn by hand."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import run_tagger
from hypothesis import given
from hypothesis import strategies as st
from stub_model import fixed_logits, stub_manifest, stub_predictor

from tagger.cli import commands
from tagger.corpus.notation import Notation
from tagger.evaluation.scores import evaluate
from tagger.evaluation.significance import Counts, compare, f1_of, span_counts
from tagger.inputs.batching import pad

TAGS = st.lists(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=6), min_size=1, max_size=8)


def f1(n_right: int, n_pred: int, n_gold: int) -> float:
    return 2 * n_right / (n_pred + n_gold) if n_pred + n_gold else 0.0


def random_counts(n: int, seed: int, better_by: float = 0.0) -> tuple[Counts, Counts]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 5, n)
    models = []
    for chance in (0.6 + better_by, 0.6):
        right = rng.binomial(gold, chance)
        models.append(np.stack([right, right + rng.integers(0, 2, n), gold], axis=1))
    return models[0], models[1]


@given(gold=TAGS, data=st.data())
def test_the_counts_make_the_f1_of_seqeval(gold: list[list[str]], data: st.DataObject) -> None:
    tag = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
    pred = [data.draw(st.lists(tag, min_size=len(tags), max_size=len(tags))) for tags in gold]
    overall = evaluate(gold, pred, "IOB2").overall
    assert overall is not None
    assert float(f1_of(span_counts(gold, pred, "IOB2").sum(axis=0))) == pytest.approx(overall.f1)


def test_counts_by_hand() -> None:
    gold = [["B-X", "I-X", "O"], ["O", "O"], ["B-Y"]]
    pred = [["B-X", "I-X", "B-Y"], ["I-X", "O"], ["O"]]
    assert span_counts(gold, pred, "IOB2").tolist() == [[1, 2, 1], [0, 1, 0], [0, 0, 1]]
    assert span_counts([["a", "b"], ["c"]], [["a", "c"], ["c"]], "none").tolist() == [[1, 2, 2], [1, 1, 1]]
    assert float(f1_of(span_counts([], [], "IOB2").sum(axis=0))) == 0.0


def exact_p_value(first: Counts, second: Counts) -> float:
    """Of all 2^S exchanges."""
    observed = f1(*first.sum(axis=0)) - f1(*second.sum(axis=0))
    found = []
    for exchanged in itertools.product([False, True], repeat=len(first)):
        flags = np.array(exchanged)[:, None]
        a, b = np.where(flags, second, first).sum(axis=0), np.where(flags, first, second).sum(axis=0)
        found.append(f1(*a) - f1(*b))
    return float(np.mean(np.abs(found) >= abs(observed) - 1e-12))


@pytest.mark.parametrize("seed", range(6))
def test_the_p_value_is_that_of_all_exchanges(seed: int) -> None:
    first, second = random_counts(9, seed, better_by=0.3)
    exact = exact_p_value(first, second)
    assert compare(first, second, samples=600).p_value == pytest.approx(exact, abs=1e-9), "all 512 are tried"
    first, second = random_counts(12, seed, better_by=0.2)
    assert compare(first, second, samples=3000).p_value == pytest.approx(exact_p_value(first, second), abs=0.04)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_that_of_sentences_drawn_by_hand(seed: int) -> None:
    first, second = random_counts(60, seed, better_by=0.1)
    rng = np.random.default_rng(5)
    differences = []
    for _ in range(4000):
        rows = rng.integers(0, 60, 60)
        differences.append(f1(*first[rows].sum(axis=0)) - f1(*second[rows].sum(axis=0)))
    low, high = np.percentile(differences, [2.5, 97.5])
    found = compare(first, second, samples=4000)
    assert found.interval == pytest.approx((low, high), abs=0.15 * (high - low))
    assert found.difference == pytest.approx(f1(*first.sum(axis=0)) - f1(*second.sum(axis=0)))
    assert found.f1 == pytest.approx((f1(*first.sum(axis=0)), f1(*second.sum(axis=0))))


def test_equal_models_do_not_differ_and_much_better_ones_do() -> None:
    first, second = random_counts(300, 1, better_by=0.3)
    same = compare(first, first, samples=500)
    assert (same.difference, same.p_value, same.interval) == (0.0, 1.0, (0.0, 0.0))
    better = compare(first, second, samples=2000)
    assert better.p_value < 0.01
    assert better.interval[0] > 0
    worse = compare(second, first, samples=2000)
    assert worse.difference == -better.difference
    assert worse.interval[1] < 0


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second = random_counts(50, 2, better_by=0.05)
    once = compare(first, second, samples=500)
    assert compare(first, second, samples=500) == once
    assert compare(first, second, samples=500, seed=2) != once


def test_counts_of_other_sentences_are_refused() -> None:
    first, second = random_counts(10, 1)
    for other in (second[:9], second[::-1], random_counts(10, 5)[1]):
        with pytest.raises(ValueError, match="expected the counts of the same sentences"):
            compare(first, other)
    with pytest.raises(ValueError, match="at least two"):
        compare(first[:1], second[:1])


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models by name: `good`, `bad` (knows nothing), and others that learned from other kinds of file; a file."""
    table = np.zeros_like(fixed_logits())
    table[:, 0] = 1.0
    predictors = {
        "good": stub_predictor(),
        "bad": stub_predictor(score=lambda sentences, _: table[pad(sentences)[0]]),
        "iobes": stub_predictor(stub_manifest(notation=Notation(scheme="IOBES"))),
        "plain": stub_predictor(stub_manifest(notation=Notation(scheme="none"), scheme="none")),
    }
    monkeypatch.setattr(commands, "_load_predictor", lambda name, *_: predictors[name])
    sentences = "EU\tB-ORG\nx\tO\n\nPeter\tB-PER\nBlackburn\tI-PER\n\n" * 20
    (tmp_path / "gold").write_text(f"{sentences}German\tO\nx\tO\n\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_models_are_compared_on_a_file(models: Path) -> None:
    found = json.loads(run_tagger("compare", "good", "bad", "gold", "--json", "--samples", "500").output)
    assert found["f1"] == [pytest.approx(2 * 40 / 81), 0.0], "40 of 40 spans, and one that is none"
    assert found["difference"] == pytest.approx(2 * 40 / 81)
    assert (found["samples"], found["p_value"] < 0.01, found["interval"][0] > 0.9) == (500, True, True)
    text = run_tagger("compare", "good", "bad", "gold", "--samples", "500").output.decode().splitlines()
    assert text[:3] == ["good  F1  98.77", "bad   F1   0.00", "difference +98.77"]
    assert text[3].startswith("95 % interval +9")
    assert text[4].startswith("p = 0.00")


def test_a_model_is_no_better_than_itself_also_in_another_scheme(models: Path) -> None:
    text = run_tagger("compare", "good", "good", "gold", "--samples", "100").output.decode()
    assert "difference +0.00\n" in text
    assert "p = 1.0000 " in text
    data = (models / "gold").read_text().replace("EU\tB-", "EU\tS-").replace("n\tI-", "n\tE-")
    (models / "gold-iobes").write_text(data)
    assert run_tagger("compare", "iobes", "iobes", "gold-iobes", "--samples", "100").output.startswith(
        b"iobes  F1  98.77"
    )


def test_plain_tags_are_compared_by_accuracy(models: Path) -> None:
    text = run_tagger("compare", "plain", "plain", "gold", "--samples", "100").output.decode()
    assert text.startswith("plain  accuracy  98.78\n"), "81 of 82 tokens"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good", "plain", "gold"], "gold: the two models read different sentences or spans in it, expected the same"),
        (["good", "bad", "one"], "one: found 1 sentence, expected at least two"),
        (["good", "bad", "none"], "none: no such file"),
        (["good", "bad", "-"], "<standard input>: expected a file because it is read twice"),
        (["good", "bad", "pipe"], "pipe: is not a regular file, expected one because it is read twice"),
        (["good", "bad"], "FILE: the model's config names no data.test"),
    ],
)
def test_what_cannot_be_compared_is_an_error(models: Path, arguments: list[str], message: str) -> None:
    (models / "one").write_text("EU\tB-ORG\n")
    os.mkfifo("pipe")
    result = run_tagger("compare", *arguments)
    assert result.exit_code == 1
    assert result.first_error.startswith(f"error: {message}")


def test_too_few_samples_for_an_interval_are_refused(models: Path) -> None:
    result = run_tagger("compare", "good", "bad", "gold", "--samples", "99")
    assert (result.exit_code, result.output) == (2, b"")
    assert "--samples" in result.first_error
    assert "99 is not in the range x>=100" in result.first_error
