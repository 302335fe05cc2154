"""The likeliest sequences of tags, against all of them."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from all_paths import TAGS, all_paths, learned
from stub_model import stub_manifest

from tagger.architecture import Decoder, NetworkSpec
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import convert
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import TagVocabulary, TokenVocabulary
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits, viterbi
from tagger.prediction.n_best import best_paths
from tagger.prediction.predictor import ComputeLogits, Predictor


def random_logits(shape: tuple[int, ...], seed: int) -> Logits:
    logits: Logits = (np.random.default_rng(seed).normal(size=shape) * 2).astype(np.float32)
    return logits


def rules(tags: list[str], scheme: str) -> Transitions:
    found = constraints_of(tags, scheme)
    assert found is not None
    return found


@pytest.mark.parametrize("n", [1, 2, 5, 700])
@pytest.mark.parametrize("scheme", list(TAGS))
def test_the_n_best_of_all_legal_paths(scheme: str, n: int) -> None:
    tags = TAGS[scheme]
    for length, transitions in itertools.product((1, 2, 3, 4), (rules(tags, scheme), learned(tags, scheme, n))):
        logits = random_logits((length, len(tags)), n + length)
        paths = all_paths(logits, transitions)
        legal = np.flatnonzero(np.isfinite(paths.scores))
        order = legal[np.argsort(-paths.scores[legal], kind="stable")][:n]
        ids, sums = zip(*itertools.islice(best_paths(logits, transitions), n), strict=True)
        assert np.array(ids).tolist() == paths.tags[order].tolist()
        np.testing.assert_allclose(sums, paths.scores[order], rtol=1e-6)
        best = viterbi(logits[None], np.array([length], np.int32), transitions)
        assert ids[0].tolist() == best[0].tolist()


def test_the_n_best_without_a_legal_path_break_the_fewest_rules() -> None:
    paths = list(best_paths(np.zeros((2, 2), np.float32), rules(["E-a", "I-a"], "IOBES")))
    assert [path.tolist() for path, _ in paths] == [[1, 0]]  # I-a E-a breaks one rule, all others more


def test_equal_logits_give_each_path_once() -> None:
    paths = [tuple(path.tolist()) for path, _ in best_paths(np.zeros((3, 4), np.float32), Transitions.free(4))]
    assert sorted(paths) == list(itertools.product(range(4), repeat=3))
    assert paths[0] == (0, 0, 0)


@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_extreme_logits_and_one_tag_only(scale: float) -> None:
    logits = random_logits((3, 5), 1) * np.float32(scale)
    paths = all_paths(logits, Transitions.free(5))
    order = np.argsort(-paths.scores, kind="stable")
    found = list(best_paths(logits, Transitions.free(5)))
    assert [path.tolist() for path, _ in found] == paths.tags[order].tolist()
    ((path, total),) = best_paths(np.full((3, 1), scale, np.float32), Transitions.free(1))
    assert path.tolist() == [0, 0, 0]
    assert total == pytest.approx(3 * scale)


def test_many_tags_take_little_memory() -> None:
    """Of 401 tags, 100 sequences of each of 20 sentences: a table of all moves would take a gigabyte."""
    names = [f"T{i}" for i in range(100)]
    tags = ["O", *(f"{prefix}-{name}" for prefix in "BIES" for name in names)]
    transitions, logits = rules(tags, "IOBES"), random_logits((20, 4, 401), 3)
    tracemalloc.start()
    for one in logits:
        assert len(list(itertools.islice(best_paths(one, transitions), 100))) == 100
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6


NETWORK = ["O", "B-a", "E-a", "I-a", "S-a", "S-b"]


@pytest.mark.parametrize(
    ("decoder", "scheme"),
    [(Decoder.SOFTMAX, "IOB2"), (Decoder.SOFTMAX, "IO"), (Decoder.CONSTRAINED, "IO"), (Decoder.CONSTRAINED, "IOB2")],
)
def test_sequences_that_are_written_alike_are_one_with_the_sum_of_their_probabilities(
    decoder: Decoder, scheme: str
) -> None:
    logits = random_logits((1, 3, len(NETWORK)), 9) / np.float32(2)
    spec = NetworkSpec.from_json({**NetworkSpec().to_json(), "decoder": str(decoder)})
    manifest = stub_manifest(scheme="IOBES", notation=Notation(scheme=scheme), network=spec)
    model: Model[ComputeLogits] = Model(
        Path("stub"),
        manifest,
        Encoder(TokenVocabulary(("x",))),
        TagVocabulary(tuple(NETWORK)),
        lambda *_: logits,
    )
    transitions = rules(NETWORK, "IOBES") if decoder == Decoder.CONSTRAINED else Transitions.free(len(NETWORK))
    paths = all_paths(logits[0], transitions)
    expected: dict[tuple[str, ...], float] = {}
    for path, probability in zip(paths.tags.tolist(), paths.probabilities.tolist(), strict=True):
        if probability:
            written = tuple(convert([NETWORK[i] for i in path], "IOBES", scheme))
            expected[written] = expected.get(written, 0.0) + probability
    (tagged,) = Predictor(model).tag([["x", "x", "x"]], spans=True, n_best=100)
    found = {tuple(one.tags): one.probability for one in tagged.alternatives}
    assert len(found) == len(tagged.alternatives) == len(expected) < 100
    assert found == pytest.approx(expected)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert tagged.probability == pytest.approx(expected[tuple(tagged.tags)])
    (few,) = Predictor(model).tag([["x", "x", "x"]], n_best=3)
    assert len({tuple(one.tags) for one in few.alternatives}) == 3
