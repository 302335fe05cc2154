"""The batches of an epoch. Each epoch draws new replacements by the unknown id; the same seed repeats them."""

from __future__ import annotations

import collections
import dataclasses
import itertools

import numpy as np
import pytest

from tagger.inputs.batching import Batch
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.encoder import Encoder
from tagger.inputs.training_set import ListDropout, Purpose, TrainingSet, WordDropout, generator
from tagger.inputs.vocabulary import UNK_ID, TokenVocabulary


def test_every_seed_epoch_step_and_purpose_draws_different_numbers() -> None:
    keys = [(s, e, t, p) for s in (1, 2) for e in (0, 1) for t in (0, 1) for p in Purpose]
    draws = {key: tuple(generator(*key).random(3)) for key in keys}
    assert len(set(draws.values())) == len(keys)
    assert draws == {key: tuple(generator(*key).random(3)) for key in keys}


# --- Unknown tokens --------------------------------------------------------------------------------------------------


def training_set(*, probability: float, seed: int = 1, n: int = 200) -> TrainingSet:
    """Return sentences of the ids 2 to 21. Even ids are rare; the tag of a token is its id plus 100."""
    rng = np.random.default_rng(7)
    sentences = [rng.integers(2, 22, rng.integers(1, 12)).astype(np.int32) for _ in range(n)]
    rare = np.arange(22) % 2 == 0
    word_dropout = WordDropout(rare=rare, unk_probability=probability)
    tag_ids = [s + 100 for s in sentences]
    return TrainingSet(sentences=sentences, tag_ids=tag_ids, word_dropout=word_dropout, batch_size=16, seed=seed)


def flat(batches: list[Batch], name: str) -> list[int]:
    return [int(i) for batch in batches for i in getattr(batch, name)[batch.mask]]


def test_only_rare_tokens_are_replaced_with_about_the_given_probability() -> None:
    batches = list(training_set(probability=0.3).batches(0))
    replaced = rare = 0
    for token, tag in zip(flat(batches, "token_ids"), flat(batches, "tag_ids"), strict=True):
        original = tag - 100
        assert token == original or (token == UNK_ID and original % 2 == 0)
        rare += original % 2 == 0
        replaced += token == UNK_ID
    assert rare > 500
    assert abs(replaced / rare - 0.3) < 0.06


def test_the_reversed_copy_has_the_same_replacements() -> None:
    n_replaced = 0
    for batch in training_set(probability=0.5).batches(0):
        for tokens, backward, n in zip(batch.token_ids, batch.reversed_ids, batch.lengths, strict=True):
            assert backward[:n].tolist() == tokens[:n].tolist()[::-1]
            n_replaced += int((tokens[:n] == UNK_ID).sum())
    assert n_replaced > 100


def test_probability_0_replaces_no_token_and_1_replaces_every_rare_token() -> None:
    never = list(training_set(probability=0.0).batches(0))
    assert [t + 100 for t in flat(never, "token_ids")] == flat(never, "tag_ids")
    always = list(training_set(probability=1.0).batches(0))
    assert [t == UNK_ID for t in flat(always, "token_ids")] == [tag % 2 == 0 for tag in flat(always, "tag_ids")]


def test_replacing_tokens_does_not_change_the_training_sentences() -> None:
    data = training_set(probability=1.0)
    before = [sentence.copy() for sentence in data.sentences]
    list(data.batches(0))
    assert all((a == b).all() for a, b in zip(before, data.sentences, strict=True))


def test_an_epoch_holds_every_sentence_once_with_its_own_tags() -> None:
    data = training_set(probability=0.0)
    seen = [
        (tokens[:n].tolist(), tags[:n].tolist())
        for batch in data.batches(3)
        for tokens, tags, n in zip(batch.token_ids, batch.tag_ids, batch.lengths, strict=True)
    ]
    expected = [(tokens.tolist(), tags.tolist()) for tokens, tags in zip(data.sentences, data.tag_ids, strict=True)]
    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_epochs_differ_and_each_can_be_repeated(probability: float) -> None:
    def epoch_of(seed: int, epoch: int) -> list[list[list[int]]]:
        return [batch.token_ids.tolist() for batch in training_set(probability=probability, seed=seed).batches(epoch)]

    epochs = {key: epoch_of(*key) for key in ((1, 0), (1, 1), (2, 0))}
    assert all(epochs[key] == epoch_of(*key) for key in epochs)
    assert all(epochs[a] != epochs[b] for a in epochs for b in epochs if a != b)


def test_each_epoch_replaces_different_tokens() -> None:
    ids_only = [np.full(50, 2, np.int32)]  # one sentence, so that the order is always the same
    word_dropout = WordDropout(rare=np.array([False, False, True]), unk_probability=0.5)
    data = TrainingSet(sentences=ids_only, tag_ids=ids_only, word_dropout=word_dropout, batch_size=1, seed=1)
    first, second = ([batch.token_ids.tolist() for batch in data.batches(epoch)] for epoch in (0, 1))
    assert first != second


def test_an_epoch_has_all_first_sentences_and_the_next_of_the_others() -> None:
    ids = [np.full(1 + i % 4, 2 + i, np.int32) for i in range(15)]
    word_dropout = WordDropout(rare=np.zeros(20, bool), unk_probability=0.0)
    data = TrainingSet(
        sentences=ids, tag_ids=ids, word_dropout=word_dropout, batch_size=3, seed=1, n_others=9, n_others_per_epoch=4
    )
    epochs = [sorted(np.concatenate(data.order(epoch)).tolist()) for epoch in range(9)]
    assert all(rows[:6] == list(range(6)) and len(rows) == 10 == len(set(rows)) for rows in epochs)
    turns = [[row for row in rows if row >= 6] for rows in epochs]
    assert all(set(first).isdisjoint(second) for first, second in itertools.pairwise(turns)), "4 of 9, then 4 others"
    counts = collections.Counter(itertools.chain.from_iterable(turns))
    assert counts == dict.fromkeys(range(6, 15), 4), "all have their turn equally often"
    for epoch in range(3):
        batches = list(data.batches(epoch))
        found = sorted(ids[-1] for batch in batches for ids in (row[row > 0].tolist() for row in batch.token_ids))
        assert found == [row + 2 for row in epochs[epoch]]
        assert sum(batch.n_tokens for batch in batches) == data.n_tokens(epoch)
    assert [batch.token_ids.tolist() for batch in data.batches(2, 2)] == [
        batch.token_ids.tolist() for batch in list(data.batches(2))[2:]
    ]
    few = dataclasses.replace(data, n_others_per_epoch=100)
    assert sorted(np.concatenate(few.order(1)).tolist()) == list(range(15)), "each other sentence at most once"


# --- Unknown features and characters ---------------------------------------------------------------------------------


def a_set(**options: object) -> TrainingSet:
    tokens = [f"t{i}" for i in range(20)]
    encoder = Encoder(
        TokenVocabulary(tuple(tokens)),
        CharacterVocabulary(tuple("t0123456789")),
        True,
        (TokenVocabulary(("NNP", "VBZ")),),
    )
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
    """Return the fractions of rare tokens, other tokens, features and characters that were replaced."""
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


def test_each_option_replaces_only_its_own_ids_with_about_its_probability() -> None:
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


def test_each_epoch_replaces_different_characters_and_can_be_repeated() -> None:
    data = a_set(character_dropout=0.4)
    epochs = [[batch.forms.characters.tolist() for batch in data.batches(epoch) if batch.forms] for epoch in (0, 0, 1)]
    assert epochs[0] == epochs[1] != epochs[2]
    assert len(set(Purpose)) == len(Purpose)


def test_a_hidden_match_is_hidden_whole_and_lists_are_independent() -> None:
    # Two lists after a column of the file. Their ids: O 10, B 11, I 12, and O 13, B 14, but I is 13 too (unknown).
    first = [10, 11, 12, 12, 11, 10, 11, 12] * 2000
    second = [14, 13, 13, 14, 14, 13, 13, 13] * 2000
    column = np.arange(16_000) % 5
    before = np.stack([column, first, second], axis=1).astype(np.int32)
    dropout = ListDropout(0.25, 1, np.array([[10, 11, 12], [13, 14, 13]], np.int32))
    features = before.copy()
    dropout.apply(features, np.random.default_rng(3))
    assert (features[:, 0] == column).all()
    hidden = (features != before)[:, 1:].reshape(2000, 8, 2)
    assert (features[:, 1:][hidden.reshape(-1, 2)] % 3 == 1).all(), "hidden tokens must be outside"
    starts = {0: [(1, 4), (4, 5), (6, 8)], 1: [(0, 1), (3, 4), (4, 5)]}
    shares = []
    for column_of_list, matches in starts.items():
        for start, end in matches:
            match = hidden[:, start:end, column_of_list]
            assert (match == match[:, :1]).all(), "the tokens of a match must be hidden together"
            shares.append(match[:, 0].mean())
    assert all(abs(share - 0.25) < 0.04 for share in shares), shares
    together = (hidden[:, 4, 0] & hidden[:, 4, 1]).mean()
    assert abs(together - 0.0625) < 0.02


def test_the_dropout_of_lists_can_be_repeated_and_the_rate_0_draws_nothing() -> None:
    rows = np.tile(np.array([[2, 0, 3], [2, 0, 4]], np.int32), (50, 1))

    def dropped(rate: float, step: int) -> list[list[int]]:
        lists = ListDropout(rate, 0, np.array([[2, 3, 4]], np.int32))
        dropout = WordDropout(rare=np.zeros(3, bool), unk_probability=0.0, lists=lists)
        return dropout.apply(rows, lambda purpose: generator(1, 0, step, purpose)).tolist()

    assert dropped(0.5, 0) == dropped(0.5, 0) != dropped(0.5, 1)
    assert dropped(0.0, 0) == rows.tolist()


def test_replacing_does_not_change_the_training_set() -> None:
    data = a_set(character_dropout=0.4, word_dropout=0.5, unknown_features=np.array([0, 1, 1, 1], np.int32))
    before = [ids.copy() for ids in data.sentences]
    assert data.forms is not None
    characters = data.forms.characters.copy()
    list(data.batches(0))
    assert all((a == b).all() for a, b in zip(before, data.sentences, strict=True))
    assert (data.forms.characters == characters).all()
