from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from all_paths import TAGS, AllPaths, all_paths, learned
from hypothesis import given, settings
from hypothesis import strategies as st
from seqscore.encoding import get_encoding
from seqscore.validation import validate_labels

from tagger.corpus.transitions import Transitions, constraints_of, learned_within
from tagger.prediction import decoding
from tagger.prediction.decoding import Logits, decode, log_softmax, losses_of, marginals, tag_probabilities, viterbi

SEQSCORE_NAMES = {"IOB1": "IOB", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BILOU", "IO": "IO"}


def random_scores(shape: tuple[int, ...], seed: int, scale: float = 2.0) -> Logits:
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    exponentials = np.exp(logits.astype(np.float64))
    result: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def legal_paths(tags: list[str], scheme: str, length: int) -> list[tuple[int, ...]]:
    """Return all tag sequences that seqscore finds valid, as tag ids."""
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


@pytest.mark.parametrize("scheme", list(TAGS))
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
    if scheme != "IO":  # every path is legal in IO
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
        best = all_paths(scores[row, :n], constraints).scores.max()
        assert total(row, tuple(found[row, :n].tolist())) == pytest.approx(best, abs=1e-4)


def test_a_sentence_is_decoded_the_same_alone_and_in_any_batch() -> None:
    tags = TAGS["IOB2"]
    constraints = constraints_for(tags, "IOB2")
    logits = random_scores((6, 9, len(tags)), 3)
    lengths = lengths_of(9, 1, 4, 2, 9, 7)
    together = decode(logits, lengths, constraints)
    scores = tag_probabilities(logits, lengths, together, constraints)
    for row, n in enumerate(lengths.tolist()):
        one = logits[row : row + 1, :n], lengths[row : row + 1]
        alone = decode(*one, constraints)
        alone_scores = tag_probabilities(*one, alone, constraints)
        assert alone[0].tolist() == together[row, :n].tolist()
        assert alone_scores[0].tolist() == scores[row, :n].tolist()


def test_logits_beyond_the_end_of_a_sentence_are_ignored() -> None:
    tags = TAGS["IOBES"]
    constraints = constraints_for(tags, "IOBES")
    logits = random_scores((3, 6, len(tags)), 4)
    lengths = lengths_of(2, 6, 3)
    expected = viterbi(log_softmax(logits), lengths, constraints)
    for rubbish in (1e6, -1e6, 0.0):
        for row, n in enumerate(lengths.tolist()):
            logits[row, n:, 2] = rubbish
        assert viterbi(log_softmax(logits), lengths, constraints).tolist() == expected.tolist()


@given(st.sampled_from(list(TAGS)), st.data())
@settings(max_examples=200)
def test_constrained_tags_are_always_legal(scheme: str, data: st.DataObject) -> None:
    tags = data.draw(st.lists(st.sampled_from(TAGS[scheme][1:]), unique=True).map(lambda some: ["O", *some]))
    tags = data.draw(st.permutations(tags))
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    logits = random_scores((len(lengths), max(lengths), len(tags)), data.draw(st.integers(0, 1000)), scale=30.0)
    ids = decode(logits, np.array(lengths, np.int32), constraints_for(tags, scheme))
    for row, n in zip(ids, lengths, strict=True):
        decoded = [tags[i] for i in row[:n]]
        assert validate_labels(decoded, get_encoding(SEQSCORE_NAMES[scheme])).is_valid(), decoded


def test_paths_of_long_sentences_are_legal_and_as_good_as_in_double_precision() -> None:
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


# --- Argmax, probabilities -----------------------------------------------------------------------------------------


def test_without_constraints_each_token_gets_its_best_tag() -> None:
    logits = random_scores((3, 4, 5), 6)
    lengths = lengths_of(4, 1, 2)
    ids = decode(logits, lengths, None)
    for row, n in enumerate(lengths.tolist()):
        for t in range(n):
            assert logits[row, t, ids[row, t]] == max(logits[row, t].tolist())


@pytest.mark.parametrize("constrained", [False, True])
def test_the_probability_of_a_tag_is_its_softmax_probability(constrained: bool) -> None:
    tags = TAGS["IOB2"]
    logits = random_scores((4, 6, len(tags)), 7)
    lengths = lengths_of(6, 1, 2, 5)
    constraints = constraints_for(tags, "IOB2") if constrained else None
    ids = decode(logits, lengths, constraints)
    scores = tag_probabilities(logits, lengths, ids, constraints)
    best = 0
    for row, n in enumerate(lengths.tolist()):
        probabilities = softmax(logits[row, :n])
        for t in range(n):
            assert float(scores[row, t]) == pytest.approx(probabilities[t, ids[row, t]], abs=1e-6)
            best += bool(ids[row, t] == probabilities[t].argmax())
    assert (best < 14) == constrained, "some tag must be overruled with constraints, and none without"


def test_log_softmax_is_exact_and_does_not_overflow() -> None:
    logits = random_scores((2, 3, 4), 8)
    assert log_softmax(logits) == pytest.approx(np.log(softmax(logits)), abs=1e-6)
    assert log_softmax(logits).dtype == np.float32
    assert log_softmax(np.array([1000.0, 1000.0, 0.0], np.float32)).tolist() == pytest.approx(
        [-np.log(2), -np.log(2), -1000 - np.log(2)], abs=1e-3
    )
    assert log_softmax(np.array([-3e4, 3e4], np.float32)).tolist() == [-6e4, 0.0]


# --- Loss of the gold tags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("constrained", [False, True])
def test_the_loss_without_a_crf_is_the_cross_entropy_of_the_softmax(constrained: bool) -> None:
    tags = TAGS["IOB2"]
    logits, lengths = random_scores((3, 5, len(tags)), 3), lengths_of(5, 1, 3)
    logits[1, 1:] = np.nan  # padding
    gold = np.random.default_rng(3).integers(0, len(tags), (3, 5))
    found = losses_of(logits, lengths, gold, constraints_for(tags, "IOB2") if constrained else None)
    for row, n in enumerate(lengths.tolist()):
        probabilities = softmax(logits[row, :n])[np.arange(n), gold[row, :n]]
        assert found[row] == pytest.approx(-np.log(probabilities).sum())


@pytest.mark.parametrize("scale", [2.0, 200.0])
@pytest.mark.parametrize("scheme", list(TAGS))
def test_the_loss_with_a_crf_is_that_of_all_legal_paths(scheme: str, scale: float) -> None:
    tags = TAGS[scheme]
    transitions = learned(tags, scheme, 5, scale)
    logits, lengths = random_scores((5, 5, len(tags)), 11, scale), lengths_of(1, 2, 3, 4, 5)
    gold = np.zeros((5, 5), np.intp)
    rng = np.random.default_rng(2)
    for row, n in enumerate(lengths.tolist()):
        paths = legal_paths(tags, scheme, n)
        gold[row, :n] = paths[rng.integers(len(paths))]
    found = losses_of(logits, lengths, gold, transitions)
    for row, n in enumerate(lengths.tolist()):
        paths = all_paths(logits[row, :n], transitions)
        (chosen,) = np.flatnonzero((paths.tags == gold[row, :n]).all(axis=1))
        assert found[row] == pytest.approx(paths.log_z - paths.scores[chosen], abs=1e-5)


# --- Sentences without a legal path --------------------------------------------------------------------------------


def test_a_sentence_without_a_legal_path_still_gets_its_best_path() -> None:
    tags = ["I-a", "I-b"]  # without O and B- no tag may begin a sentence
    constraints = constraints_for(tags, "IOB2")
    logits = np.array([[[0, 5], [0, 5], [1, 5]], [[5, 0], [0, 4], [5, 0]], [[0, 5], [9, 9], [9, 9]]], np.float32)
    ids = decode(logits, lengths_of(3, 3, 1), constraints)
    scores = tag_probabilities(logits, lengths_of(3, 3, 1), ids, constraints)
    assert ids.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert scores[0].tolist() == pytest.approx(softmax(logits[0])[:, 1].tolist(), abs=1e-6)


def test_a_sentence_without_a_legal_path_does_not_affect_the_others() -> None:
    tags = ["B-a", "I-b"]  # every path is illegal in IOBES without S- and E-
    ids = decode(random_scores((3, 4, 2), 9), lengths_of(4, 1, 3), constraints_for(tags, "IOBES"))
    assert ids.shape == (3, 4)
    assert set(ids.ravel().tolist()) <= {0, 1}
    assert ids[1, 1:].tolist() == [0, 0, 0]


def test_illegal_sentences_of_a_large_batch_are_repaired_a_few_at_a_time() -> None:
    tags = TAGS["IOB2"]
    constraints = constraints_for(tags, "IOB2")
    logits = np.zeros((3000, 2, len(tags)), np.float32)
    logits[::2, 0, tags.index("I-a")] = 5.0  # every other sentence begins with an inside tag
    logits[::2, 0, tags.index("B-a")] = 4.0
    peaks = []
    for n_sentences in (10, 3000):
        tracemalloc.start()
        ids = decode(logits, np.full(3000, 2, np.int32), constraints, most_numbers=n_sentences * len(tags) ** 2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert set(ids[::2, 0].tolist()) == {tags.index("B-a")}
        assert set(ids[1::2].ravel().tolist()) == {0}
    assert peaks[0] < 0.5 * peaks[1]


@given(seed=st.integers(0, 10_000), scheme=st.sampled_from(list(TAGS)))
@settings(max_examples=60)
def test_argmax_is_used_only_where_it_equals_viterbi(seed: int, scheme: str) -> None:
    constraints = constraints_for(TAGS[scheme], scheme)
    logits = random_scores((6, 5, len(TAGS[scheme])), seed)
    lengths = lengths_of(5, 1, 3, 2, 5, 4)
    ids = decode(logits, lengths, constraints)
    expected = viterbi(log_softmax(logits), lengths, constraints)
    for row, n in enumerate(lengths.tolist()):
        assert ids[row, :n].tolist() == expected[row, :n].tolist()


# --- A CRF: learned transitions ------------------------------------------------------------------------------------


CRF_TAGS = {"none": ["x", "y", "z", "w"], "IOB2": TAGS["IOB2"], "IOBES": TAGS["IOBES"][:5]}


@pytest.mark.parametrize("scale", [2.0, 1e4])
@pytest.mark.parametrize("scheme", list(CRF_TAGS))
def test_a_crf_finds_the_best_of_all_paths_and_their_marginals(scheme: str, scale: float) -> None:
    tags = CRF_TAGS[scheme]
    n_other = 0
    for seed in range(5):
        transitions = learned(tags, scheme, seed)
        lengths = np.random.default_rng(seed).permutation([1, 2, 3, 4, 5, 1]).astype(np.int32)
        logits = random_scores((6, 6, len(tags)), seed, scale)
        for row, n in enumerate(lengths):
            logits[row, n:] = np.nan
        ids = decode(logits, lengths, transitions)
        found = marginals(logits, lengths, transitions)
        scores = tag_probabilities(logits, lengths, ids, transitions)
        assert scores.dtype == np.float32
        for row, n in enumerate(lengths.tolist()):
            every = all_paths(logits[row, :n], transitions)
            assert ids[row, :n].tolist() == every.best
            assert not found[row, n:].any()
            np.testing.assert_allclose(found[row, :n], every.marginals, atol=1e-9)
            expected = every.marginals[np.arange(n), ids[row, :n]]
            np.testing.assert_allclose(scores[row, :n], expected, atol=1e-6)
            n_other += every.best != logits[row, :n].argmax(axis=-1).tolist()
    assert n_other > 5 or (scheme == "none" and scale > 100)


def test_the_best_path_of_a_crf_may_differ_from_the_best_tags_even_if_these_are_legal() -> None:
    tags = CRF_TAGS["IOB2"]
    transitions = learned_within(constraints_of(tags, "IOB2"), -9.0 * np.eye(5), np.zeros(5), np.zeros(5))
    logits = np.array([[[1.0, 0.5, 0.0, 0.0, 0.0]] * 2], np.float32)
    assert decode(logits, lengths_of(2), transitions).tolist() in ([[0, 1]], [[1, 0]])
    assert decode(logits, lengths_of(2), constraints_of(tags, "IOB2")).tolist() == [[0, 0]]


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_a_chunk_is_decoded_given_the_tag_before_it(scheme: str) -> None:
    tags, n, cut = CRF_TAGS[scheme], 5, 2
    transitions = learned(tags, scheme, 4)
    logits = random_scores((1, n, len(tags)), 5)
    every = all_paths(logits[0], transitions)
    for after_tag in range(len(tags)):
        given_tag = every.tags[:, cut - 1] == after_tag
        scores = np.where(given_tag, every.scores, -np.inf)
        if np.isinf(scores.max()):
            continue
        given = AllPaths(every.tags, scores, len(tags))
        rest = transitions.of_chunk(after_tag, continues=False)
        piece, lengths = logits[:, cut:], lengths_of(n - cut)
        assert rest.learned
        assert decode(piece, lengths, rest)[0].tolist() == given.best[cut:]
        np.testing.assert_allclose(marginals(piece, lengths, rest)[0], given.marginals[cut:], atol=1e-9)


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_the_first_chunk_may_end_in_any_tag(scheme: str) -> None:
    tags, n = CRF_TAGS[scheme], 3
    transitions = learned(tags, scheme, 6)
    first = transitions.of_chunk(None, continues=True)
    logits = random_scores((1, n, len(tags)), 7)
    every = all_paths(logits[0], Transitions(transitions.transition, transitions.start, np.zeros(len(tags))))
    assert decode(logits, lengths_of(n), first)[0].tolist() == every.best
    np.testing.assert_allclose(marginals(logits, lengths_of(n), first)[0], every.marginals, atol=1e-9)


def test_among_equally_good_paths_the_lowest_tag_ids_win() -> None:
    everything_alike = Transitions(np.zeros((3, 3)), np.zeros(3), np.zeros(3), learned=True)
    lengths = lengths_of(2, 4, 1)
    logits = np.zeros((3, 4, 3), np.float32)
    assert not decode(logits, lengths, everything_alike).any()
    logits[:, :, 0] = -1.0
    assert decode(logits, lengths, everything_alike)[1].tolist() == [1, 1, 1, 1]


def test_a_crf_decodes_a_sentence_the_same_alone_and_in_any_batch() -> None:
    tags = CRF_TAGS["IOB2"]
    transitions = learned(tags, "IOB2", 8)
    logits = random_scores((6, 9, len(tags)), 9)
    logits[4] *= 1e4  # so large that the marginals need logarithms
    lengths = lengths_of(9, 1, 4, 2, 9, 7)
    together, scores = decode(logits, lengths, transitions), marginals(logits, lengths, transitions)
    for row, n in enumerate(lengths.tolist()):
        one = logits[row : row + 1, :n], lengths[row : row + 1]
        assert decode(*one, transitions)[0].tolist() == together[row, :n].tolist()
        np.testing.assert_allclose(marginals(*one, transitions)[0], scores[row, :n], atol=1e-12)
    real = np.arange(9) < lengths[:, None]
    two_by_two = decode(logits, lengths, transitions, most_numbers=2 * len(tags) ** 2)
    assert two_by_two[real].tolist() == together[real].tolist()
    np.testing.assert_allclose(marginals(logits, lengths, transitions, most_numbers=1), scores, atol=1e-12)


def test_a_crf_decodes_a_long_sentence_as_well_as_a_plain_recurrence() -> None:
    tags, n = CRF_TAGS["IOBES"], 8192
    transitions = learned(tags, "IOBES", 10)
    logits = random_scores((1, n, len(tags)), 11)
    (path,) = decode(logits, lengths_of(n), transitions)
    total = float(logits[0, np.arange(n), path].astype(np.float64).sum() + transitions.start[path[0]])
    total += float(transitions.end[path[-1]] + transitions.transition[path[:-1], path[1:]].sum())
    best, summed = (logits[0, 0] + transitions.start for _ in range(2))
    forward = [summed]
    for t in range(1, n):
        best = (best[:, None] + transitions.transition).max(axis=0) + logits[0, t]
        summed = np.logaddexp.reduce(summed[:, None] + transitions.transition, axis=0) + logits[0, t]
        forward.append(summed)
    assert total == pytest.approx(float((best + transitions.end).max()), abs=1e-6)
    found = marginals(logits, lengths_of(n), transitions)[0]
    at_end = np.exp(summed + transitions.end - np.logaddexp.reduce(summed + transitions.end))
    np.testing.assert_allclose(found[-1], at_end, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, atol=1e-9)
    # In the middle, the recurrence above covers the tokens before, and the same recurrence backwards those after.
    after = transitions.end
    for t in range(n - 1, n // 2, -1):
        after = np.logaddexp.reduce(transitions.transition + logits[0, t] + after, axis=1)
    through = forward[n // 2] + after
    np.testing.assert_allclose(found[n // 2], np.exp(through - np.logaddexp.reduce(through)), atol=1e-9)


def test_tags_that_never_end_do_not_outgrow_the_rest() -> None:
    # Without E- a span that starts with B- cannot end, although its logits alone make it e^10 times better at each of
    # the 100 steps.
    transitions = learned(["O", "B-a", "I-a"], "IOBES", 0, scale=0.0)
    logits = np.zeros((1, 100, 3), np.float32)
    logits[..., 1:] = 10.0
    assert marginals(logits, lengths_of(100), transitions).tolist() == [[[1.0, 0.0, 0.0]] * 100]


def test_marginals_without_a_legal_path_use_the_paths_with_the_smallest_penalties() -> None:
    tags = ["B-a", "I-a", "E-a"]  # no legal path has a single tag
    transitions = learned(tags, "IOBES", 12)
    logits = random_scores((2, 3, 3), 13)
    found = marginals(logits, lengths_of(1, 3), transitions)
    np.testing.assert_allclose(found[1], all_paths(logits[1], transitions).marginals, atol=1e-9)
    np.testing.assert_allclose(found[0, :1], all_paths(logits[0, :1], transitions, strict=False).marginals, atol=1e-9)


def test_each_path_is_checked_separately_and_only_up_to_its_end() -> None:
    tags = TAGS["IOBES"]
    rules = constraints_of(tags, "IOBES")
    o, b, e, i, s = (tags.index(tag) for tag in ("O", "B-a", "E-a", "I-a", "S-a"))
    paths = [
        ([o, b, e, o], True), ([b, i, e, o], True), ([s, s, s, s], True), ([o, i, e, o], False), ([b, o, o, o], False),
        ([i, e, o, o], False), ([o, o, o, b], False), ([e, o, o, o], False), ([o, b, i, i], False),
        ([s, b], False), ([b, e], True), ([b], False), ([s], True), ([o], True),
    ]  # fmt: skip
    lengths = np.array([len(path) for path, _ in paths], np.int32)
    for beyond in range(len(tags)):  # the ids beyond the end of a path must not matter
        ids = np.full((len(paths), 4), beyond, np.intp)
        for row, (path, _) in zip(ids, paths, strict=True):
            row[: len(path)] = path
        assert decoding.are_legal(ids, lengths, rules).tolist() == [legal for _, legal in paths]
