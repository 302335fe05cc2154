from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqscore.encoding import get_encoding
from seqscore.validation import validate_labels

from tagger.corpus.schemes import SCHEMES
from tagger.runtime import decoding
from tagger.runtime.decoding import Scores, decode, log_softmax, viterbi
from tagger.runtime.marginals import marginals, tag_scores
from tagger.runtime.transitions import ILLEGAL, Transitions, constraints_of, learned_within

SEQSCORE_NAMES = {"IOB1": "IOB", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BILOU", "IO": "IO"}
TAGS = {
    "IOB1": ["O", "B-a", "I-a", "I-b"],
    "IOB2": ["O", "B-a", "B-b", "I-a", "I-b"],
    "IOBES": ["O", "B-a", "E-a", "I-a", "S-a", "S-b"],
    "BILOU": ["O", "B-a", "I-a", "L-a", "U-b"],
    "IO": ["O", "I-a", "I-b"],
}


def random_scores(shape: tuple[int, ...], seed: int, scale: float = 2.0) -> Scores:
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    exponentials = np.exp(logits.astype(np.float64))
    result: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def legal_paths(tags: list[str], scheme: str, length: int) -> list[tuple[int, ...]]:
    """All tag sequences that seqscore finds valid, as ids."""
    encoding = get_encoding(SEQSCORE_NAMES[scheme])
    paths = itertools.product(range(len(tags)), repeat=length)
    return [path for path in paths if validate_labels([tags[i] for i in path], encoding).is_valid()]


def constraints_for(tags: list[str], scheme: str) -> Transitions:
    constraints = constraints_of(tags, scheme)
    assert constraints is not None
    return constraints


def lengths_of(*lengths: int) -> npt.NDArray[np.int32]:
    return np.array(lengths, np.int32)


# --- Viterbi against all paths -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_viterbi_finds_the_best_of_all_legal_paths_of_ragged_sentences(scheme: str) -> None:
    tags = TAGS[scheme]
    constraints = constraints_for(tags, scheme)
    paths = {length: np.array(legal_paths(tags, scheme, length)) for length in range(1, 6)}
    n_repaired = 0
    for seed in range(25):
        lengths = np.random.default_rng(seed).permutation([1, 2, 3, 4, 5, 5, 1]).astype(np.int32)
        scores = log_softmax(random_scores((7, 5, len(tags)), seed))
        found = viterbi(scores, lengths, constraints)
        for row, (n, path) in enumerate(zip(lengths.tolist(), found.tolist(), strict=True)):
            totals = scores[row, np.arange(n), paths[n]].astype(np.float64).sum(axis=1)
            assert path[:n] == paths[n][totals.argmax()].tolist()
            assert path[n:] == [0] * (5 - n)
            n_repaired += path[:n] != scores[row, :n].argmax(axis=-1).tolist()
    if scheme != "IO":  # where everything is legal
        assert n_repaired > 20


@given(
    n_tags=st.integers(1, 4), lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 10_000)
)
def test_viterbi_adds_up_start_transition_and_end_scores(n_tags: int, lengths: list[int], seed: int) -> None:
    width = max(lengths)
    scores = random_scores((len(lengths), width, n_tags), seed)
    constraints = Transitions(
        transition=random_scores((n_tags, n_tags), seed + 1),
        start=random_scores((n_tags,), seed + 2),
        end=random_scores((n_tags,), seed + 3),
    )

    def total(row: int, path: tuple[int, ...]) -> float:
        emitted = sum(float(scores[row, t, tag]) for t, tag in enumerate(path))
        moved = sum(float(constraints.transition[a, b]) for a, b in itertools.pairwise(path))
        return emitted + moved + float(constraints.start[path[0]]) + float(constraints.end[path[-1]])

    found = viterbi(scores, np.array(lengths, np.int32), constraints)
    for row, n in enumerate(lengths):
        best = max(total(row, path) for path in itertools.product(range(n_tags), repeat=n))
        assert total(row, tuple(found[row, :n].tolist())) == pytest.approx(best, abs=1e-4)


def test_a_sentence_is_decoded_alike_alone_and_in_any_batch() -> None:
    tags = TAGS["IOB2"]
    constraints = constraints_for(tags, "IOB2")
    logits = random_scores((6, 9, len(tags)), 3)
    lengths = lengths_of(9, 1, 4, 2, 9, 7)
    together, scores = decode(logits, lengths, constraints)
    for row, n in enumerate(lengths.tolist()):
        alone, alone_scores = decode(logits[row : row + 1, :n], lengths[row : row + 1], constraints)
        assert alone[0].tolist() == together[row, :n].tolist()
        assert alone_scores[0].tolist() == scores[row, :n].tolist()


def test_what_lies_beyond_a_sentence_is_ignored() -> None:
    tags = TAGS["IOBES"]
    constraints = constraints_for(tags, "IOBES")
    logits = random_scores((3, 6, len(tags)), 4)
    lengths = lengths_of(2, 6, 3)
    expected = viterbi(log_softmax(logits), lengths, constraints)
    for rubbish in (1e6, -1e6, 0.0):
        for row, n in enumerate(lengths.tolist()):
            logits[row, n:, 2] = rubbish
        assert viterbi(log_softmax(logits), lengths, constraints).tolist() == expected.tolist()


@given(st.sampled_from(list(SCHEMES)), st.data())
@settings(max_examples=200)
def test_constrained_tags_are_always_legal(scheme: str, data: st.DataObject) -> None:
    tags = data.draw(st.lists(st.sampled_from(TAGS[scheme][1:]), unique=True).map(lambda some: ["O", *some]))
    tags = data.draw(st.permutations(tags))
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    logits = random_scores((len(lengths), max(lengths), len(tags)), data.draw(st.integers(0, 1000)), scale=30.0)
    ids, _ = decode(logits, np.array(lengths, np.int32), constraints_for(tags, scheme))
    for row, n in zip(ids, lengths, strict=True):
        decoded = [tags[i] for i in row[:n]]
        assert validate_labels(decoded, get_encoding(SEQSCORE_NAMES[scheme])).is_valid(), decoded


def test_long_sentences_stay_legal_and_as_good_as_in_double_precision() -> None:
    tags, n = TAGS["IOB2"], 20_000
    constraints = constraints_for(tags, "IOB2")
    scores = log_softmax(random_scores((1, n, len(tags)), 5))
    (path,) = viterbi(scores, lengths_of(n), constraints)
    decoded = [tags[i] for i in path]
    assert validate_labels(decoded, get_encoding("BIO")).is_valid()
    best = scores[0, 0].astype(np.float64) + constraints.start
    for t in range(1, n):
        best = (best[:, None] + constraints.transition).max(axis=0) + scores[0, t]
    total = float(scores[0, np.arange(n), path].astype(np.float64).sum())
    assert total == pytest.approx(float((best + constraints.end).max()), abs=0.5)


# --- Constraints ---------------------------------------------------------------------------------------------------


def test_the_constraints_of_iob2_by_hand() -> None:
    constraints = constraints_for(["O", "B-a", "I-a", "I-b"], "IOB2")
    illegal = -1e3  # far below any log-probability
    assert (constraints.transition < illegal).tolist() == [
        [False, False, True, True],  # from O
        [False, False, False, True],  # from B-a
        [False, False, False, True],  # from I-a
        [False, False, True, False],  # from I-b
    ]
    assert (constraints.start < illegal).tolist() == [False, False, True, True]
    assert (constraints.end < illegal).tolist() == [False] * 4
    for array in (constraints.transition, constraints.start, constraints.end):
        assert set(array[array >= illegal].tolist()) == {0.0}


def test_a_sentence_must_not_end_inside_an_iobes_span() -> None:
    constraints = constraints_for(["O", "B-a", "E-a", "I-a", "S-a"], "IOBES")
    assert (constraints.start < -1e3).tolist() == [False, False, True, True, False]
    assert (constraints.end < -1e3).tolist() == [False, True, False, True, False]


def test_plain_tags_have_no_constraints() -> None:
    assert constraints_of(["NN", "VB"], "none") is None


# --- Argmax, probabilities -----------------------------------------------------------------------------------------


def test_without_constraints_each_token_gets_its_best_tag() -> None:
    logits = random_scores((3, 4, 5), 6)
    lengths = lengths_of(4, 1, 2)
    ids, _ = decode(logits, lengths, None)
    for row, n in enumerate(lengths.tolist()):
        for t in range(n):
            assert logits[row, t, ids[row, t]] == max(logits[row, t].tolist())


@pytest.mark.parametrize("constrained", [False, True])
def test_the_score_of_a_tag_is_its_softmax_probability(constrained: bool) -> None:
    tags = TAGS["IOB2"]
    logits = random_scores((4, 6, len(tags)), 7)
    lengths = lengths_of(6, 1, 2, 5)
    ids, scores = decode(logits, lengths, constraints_for(tags, "IOB2") if constrained else None)
    best = 0
    for row, n in enumerate(lengths.tolist()):
        probabilities = softmax(logits[row, :n])
        for t in range(n):
            assert float(scores[row, t]) == pytest.approx(probabilities[t, ids[row, t]], abs=1e-6)
            best += bool(ids[row, t] == probabilities[t].argmax())
    assert (best < 14) == constrained, "the constraints should have overruled some tag"


def test_log_softmax_is_exact_and_does_not_overflow() -> None:
    logits = random_scores((2, 3, 4), 8)
    assert log_softmax(logits) == pytest.approx(np.log(softmax(logits)), abs=1e-6)
    assert log_softmax(logits).dtype == np.float32
    assert log_softmax(np.array([1000.0, 1000.0, 0.0], np.float32)).tolist() == pytest.approx(
        [-np.log(2), -np.log(2), -1000 - np.log(2)], abs=1e-3
    )
    assert log_softmax(np.array([-3e4, 3e4], np.float32)).tolist() == [-6e4, 0.0]


# --- Sentences without a legal path --------------------------------------------------------------------------------


def test_a_sentence_without_a_legal_path_gets_its_best_scored_tags() -> None:
    tags = ["I-a", "I-b"]  # no O and no B-: nothing may begin a sentence
    constraints = constraints_for(tags, "IOB2")
    logits = np.array([[[0, 5], [0, 5], [1, 5]], [[5, 0], [0, 4], [5, 0]], [[0, 5], [9, 9], [9, 9]]], np.float32)
    ids, scores = decode(logits, lengths_of(3, 3, 1), constraints)
    assert ids.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert scores[0].tolist() == pytest.approx(softmax(logits[0])[:, 1].tolist(), abs=1e-6)


def test_a_sentence_without_a_legal_path_does_not_touch_its_neighbours() -> None:
    tags = ["B-a", "I-b"]  # S- and E- are missing: every path of IOBES is illegal
    ids, _ = decode(random_scores((3, 4, 2), 9), lengths_of(4, 1, 3), constraints_for(tags, "IOBES"))
    assert ids.shape == (3, 4)
    assert set(ids.ravel().tolist()) <= {0, 1}
    assert ids[1, 1:].tolist() == [0, 0, 0]


def test_every_illegal_sentence_of_a_large_batch_is_repaired_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = TAGS["IOB2"]
    constraints = constraints_for(tags, "IOB2")
    logits = np.zeros((3000, 2, len(tags)), np.float32)
    logits[::2, 0, tags.index("I-a")] = 5.0  # every other one begins with an inside tag
    logits[::2, 0, tags.index("B-a")] = 4.0
    sizes: list[int] = []
    plain = decoding.viterbi
    monkeypatch.setattr(decoding, "viterbi", lambda scores, *rest: sizes.append(len(scores)) or plain(scores, *rest))
    monkeypatch.setattr(decoding, "_VITERBI_NUMBERS", 100 * len(tags) ** 2)
    ids, _ = decode(logits, np.full(3000, 2, np.int32), constraints)
    assert sizes == [100] * 15
    assert set(ids[::2, 0].tolist()) == {tags.index("B-a")}
    assert set(ids[1::2].ravel().tolist()) == {0}


@given(seed=st.integers(0, 10_000), scheme=st.sampled_from(list(SCHEMES)))
@settings(max_examples=60)
def test_argmax_is_taken_only_where_it_is_what_viterbi_finds(seed: int, scheme: str) -> None:
    constraints = constraints_for(TAGS[scheme], scheme)
    logits = random_scores((6, 5, len(TAGS[scheme])), seed)
    lengths = lengths_of(5, 1, 3, 2, 5, 4)
    ids, _ = decode(logits, lengths, constraints)
    expected = viterbi(log_softmax(logits), lengths, constraints)
    for row, n in enumerate(lengths.tolist()):
        assert ids[row, :n].tolist() == expected[row, :n].tolist()
