from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs.batching import make_batch
from tagger.inputs.characters import CharacterVocabulary, casing_of
from tagger.inputs.encoder import Encoder, Sizes
from tagger.inputs.training_set import Purpose, TrainingSet, WordDropout
from tagger.inputs.vocabulary import UNK_ID, Normalization, TokenVocabulary

POS, CHUNK = TokenVocabulary(("NNP", "VBZ")), TokenVocabulary(("I-NP",))
TOKENS = TokenVocabulary(("eu", "rejects"), Normalization(lowercase=True))
FULL = Encoder(TOKENS, CharacterVocabulary(tuple("EUrejcts")), True, (POS, CHUNK))


def test_a_sentence_by_hand() -> None:
    (first, second), forms = FULL.encode(
        [(["EU", "rejects", "EU"], ["NNP", "VBZ", "DT"], ["I-NP"] * 3), (["eu"], ["VBZ"], ["O"])]
    )
    assert first.tolist() == [[2, 1, 2, 6], [3, 2, 3, 6], [2, 1, 1, 6]]
    assert second.tolist() == [[2, 3, 3, 5]]
    assert forms is not None
    assert forms.lengths.tolist() == [1, 2, 7, 2]
    assert FULL.sizes(9) == Sizes(n_tokens=4, n_tags=9, n_characters=10, n_features=2, n_feature_ids=7)


def test_what_reads_tokens_alone_has_nothing_else_encoded() -> None:
    sentences, forms = Encoder(TOKENS).encode([(["EU", "x"],), ([],)])
    assert [ids.tolist() for ids in sentences] == [[2, UNK_ID], []]
    assert forms is None
    assert Encoder(TOKENS).encode([]) == ([], None)
    assert FULL.encode([])[0] == []
    assert FULL.encode([([], [], [])])[0][0].shape == (0, 4)


WORDS = st.sampled_from(["EU", "eu", "Eu", "rejects", "foo", ""])
SENTENCE = st.lists(st.tuples(WORDS, st.sampled_from(["NNP", "VBZ", "X"]), st.sampled_from(["I-NP", "O"])), min_size=1)


@given(st.lists(SENTENCE, min_size=1, max_size=5))
def test_a_batch_gives_back_each_tokens_id_spelling_and_features(rows: list[list[tuple[str, str, str]]]) -> None:
    sentences = [tuple(map(list, zip(*sentence, strict=True))) for sentence in rows]
    encoded = FULL.encode(sentences)
    batch = make_batch(encoded.sentences, None, encoded.forms)
    assert len(set(batch.distinct_ids.tolist())) == len(batch.distinct_ids)
    distinct = {row for sentence in rows for row in sentence}
    assert len(batch.id_rows) == len(distinct) + 1, "each is there once"
    assert batch.forms is not None
    ends = np.cumsum(batch.forms.lengths)
    for i, sentence in enumerate(rows):
        for t, (token, pos, chunk) in enumerate(sentence):
            row = batch.token_rows[i, t]
            assert batch.reversed_rows[i, len(sentence) - 1 - t] == row
            assert batch.token_ids[i, t] == TOKENS.encode([token])[0]
            assert batch.feature_ids[row].tolist() == [POS.encode([pos])[0], CHUNK.encode([chunk])[0] + len(POS)]
            assert batch.forms.casing[row] == casing_of(token)
            characters = batch.forms.characters[ends[row] - batch.forms.lengths[row] : ends[row]]
            expected = FULL.characters.encode(token).tolist() if FULL.characters else []
            assert characters.tolist() == (expected or [UNK_ID])
        assert (batch.token_rows[i, len(sentence) :] == 0).all()


# --- What is replaced by the unknown in training ----------------------------------------------------------------------


def a_set(**options: object) -> TrainingSet:
    tokens = [f"t{i}" for i in range(20)]
    encoder = Encoder(TokenVocabulary(tuple(tokens)), CharacterVocabulary(tuple("t0123456789")), True, (POS,))
    rng = np.random.default_rng(1)
    sentences = []
    for _ in range(300):
        words = [tokens[i] for i in rng.integers(0, 20, 9)]
        sentences.append((words, [["NNP", "VBZ"][int(word[1:]) % 2] for word in words]))
    encoded = encoder.encode(sentences)
    rare = np.arange(22) < 12
    word_dropout = {"rare": rare, "unk_probability": 0.3, **options}
    return TrainingSet(
        sentences=encoded.sentences,
        tag_ids=[ids[:, 0] for ids in encoded.sentences],
        word_dropout=WordDropout(**word_dropout),  # type: ignore[arg-type]
        batch_size=30,
        seed=1,
        forms=encoded.forms,
    )


def tallies(data: TrainingSet) -> tuple[float, float, float, float]:
    """How many of the rare tokens, of the others, of all features, of all characters were replaced."""
    tokens, gold, features, characters = [], [], [], []
    for batch in data.batches(0):
        tokens.append(batch.token_ids[batch.mask])
        gold.append(batch.tag_ids[batch.mask])
        features.append(batch.feature_ids[batch.token_rows[batch.mask]][:, 0])
        assert batch.forms is not None
        characters.append(batch.forms.characters[1:])
    was_replaced, rare = np.concatenate(tokens) == UNK_ID, np.concatenate(gold) < 12
    return (
        was_replaced[rare].mean(), was_replaced[~rare].mean(), (np.concatenate(features) == UNK_ID).mean(),
        (np.concatenate(characters) == UNK_ID).mean(),
    )  # fmt: skip


def about(found: float, expected: float) -> bool:
    return abs(found - expected) < 0.05 if expected else found == 0


def test_only_what_is_asked_for_is_replaced_and_about_as_often() -> None:
    keep, rare_nnp = np.arange(4, dtype=np.int32), np.array([0, 1, UNK_ID, 3], np.int32)
    for options, expected in [
        ({}, (0.3, 0, 0, 0)),
        ({"unk_probability": 0.0}, (0, 0, 0, 0)),
        ({"word_dropout": 0.2}, (0.3, 0.2, 0, 0)),
        ({"word_dropout": 0.5}, (0.5, 0.5, 0, 0)),
        ({"unknown_features": keep}, (0.3, 0, 0, 0)),
        ({"unknown_features": rare_nnp}, (0.3, 0, 0.15, 0)),  # half of the tokens are NNP
        ({"character_dropout": 0.4}, (0.3, 0, 0, 0.4)),
        ({"rare_characters": np.ones(13, bool)}, (0.3, 0, 0, 0.3)),
        ({"rare_characters": np.zeros(13, bool)}, (0.3, 0, 0, 0)),
    ]:
        found = tallies(a_set(**options))
        assert all(map(about, found, expected)), (options, found)


def test_what_is_replaced_is_drawn_anew_each_epoch_and_the_same_again() -> None:
    data = a_set(character_dropout=0.4)
    epochs = [[batch.forms.characters.tolist() for batch in data.batches(epoch) if batch.forms] for epoch in (0, 0, 1)]
    assert epochs[0] == epochs[1] != epochs[2]
    assert len(set(Purpose)) == len(Purpose)


def test_replacing_leaves_the_training_set_as_it_is() -> None:
    data = a_set(character_dropout=0.4, word_dropout=0.5, unknown_features=np.array([0, 1, 1, 1], np.int32))
    before = [ids.copy() for ids in data.sentences]
    assert data.forms is not None
    characters = data.forms.characters.copy()
    list(data.batches(0))
    assert all((a == b).all() for a, b in zip(before, data.sentences, strict=True))
    assert (data.forms.characters == characters).all()
