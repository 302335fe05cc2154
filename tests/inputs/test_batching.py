from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs.batching import (
    Ids,
    _distinct_rows,
    batches_by_length,
    bucketed_order,
    make_batch,
    mask_of,
    prefetch,
    reverse_by_length,
)
from tagger.inputs.characters import WordForms
from tagger.inputs.training_set import Purpose, generator

LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=8)


def ids(*values: int) -> Ids:
    return np.array(values, np.int32)


def numbered(lengths: list[int], first: int = 10) -> list[Ids]:
    """Return sentences in which all token ids differ, so that a swap of tokens is detected."""
    ends = np.cumsum(lengths).tolist()
    return [np.arange(first + end - n, first + end, dtype=np.int32) for n, end in zip(lengths, ends, strict=True)]


# --- Padding and reversing -----------------------------------------------------------------------------------------


def test_a_batch_of_ragged_sentences_by_hand() -> None:
    batch = make_batch(
        [ids(7, 8, 9), ids(5), ids(2, 3, 4, 5, 6), ids(8, 9)], [ids(1, 2, 0), ids(3), ids(1, 1, 2, 2, 1), ids(0, 4)]
    )
    assert batch.token_ids.tolist() == [[7, 8, 9, 0, 0], [5, 0, 0, 0, 0], [2, 3, 4, 5, 6], [8, 9, 0, 0, 0]]
    # Reversing the padded rows would put padding before the first token: [[0, 0, 9, 8, 7], [0, 0, 0, 0, 5], …].
    assert batch.reversed_ids.tolist() == [[9, 8, 7, 0, 0], [5, 0, 0, 0, 0], [6, 5, 4, 3, 2], [9, 8, 0, 0, 0]]
    assert batch.tag_ids.tolist() == [[1, 2, 0, 0, 0], [3, 0, 0, 0, 0], [1, 1, 2, 2, 1], [0, 4, 0, 0, 0]]
    assert batch.lengths.tolist() == [3, 1, 5, 2]
    assert batch.mask.tolist() == [[t < n for t in range(5)] for n in (3, 1, 5, 2)]
    assert batch.n_tokens == 11
    assert {array.dtype for array in (batch.token_ids, batch.reversed_ids, batch.tag_ids, batch.lengths)} == {
        np.dtype(np.int32)
    }
    assert batch.mask.dtype == bool


def test_without_gold_tags_the_tag_ids_are_zeros() -> None:
    batch = make_batch([ids(7, 8), ids(9)])
    assert batch.tag_ids.tolist() == [[0, 0], [0, 0]]


@given(LENGTHS)
def test_padding_is_on_the_right_and_no_token_is_lost(lengths: list[int]) -> None:
    sentences = numbered(lengths)
    batch = make_batch(sentences, [sentence + 100 for sentence in sentences])
    width = max(lengths)
    for row, n, tokens, backward, tags, mask in zip(
        sentences, lengths, batch.token_ids, batch.reversed_ids, batch.tag_ids, batch.mask, strict=True
    ):
        padding = [0] * (width - n)
        assert tokens.tolist() == row.tolist() + padding
        assert backward.tolist() == row.tolist()[::-1] + padding
        assert tags.tolist() == (row + 100).tolist() + padding
        assert mask.tolist() == [True] * n + [False] * (width - n)


@given(LENGTHS, st.integers(0, 3))
def test_reversing_twice_restores_the_rows_and_leaves_the_padding(lengths: list[int], extra: int) -> None:
    width = max(lengths) + extra
    rows = np.arange(1, len(lengths) * width + 1, dtype=np.int32).reshape(
        len(lengths), width
    )  # padding that is not zero
    once = reverse_by_length(rows, np.array(lengths, np.int32))
    for row, reversed_row, n in zip(rows.tolist(), once.tolist(), lengths, strict=True):
        assert reversed_row == row[:n][::-1] + row[n:]
    assert reverse_by_length(once, np.array(lengths, np.int32)).tolist() == rows.tolist()


def test_the_mask_by_hand() -> None:
    lengths = ids(1, 3)
    assert mask_of(lengths).tolist() == [[True, False, False], [True, True, True]]
    assert mask_of(ids()).shape == (0, 0)


@pytest.mark.parametrize("sentences", [[], [ids()], [ids(1), ids()]])
def test_an_empty_batch_or_sentence_is_refused(sentences: list[Ids]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        make_batch(sentences)


# --- The order of an epoch -----------------------------------------------------------------------------------------


def order_of(lengths: list[int], batch_size: int, seed: int = 1, epoch: int = 0) -> list[list[int]]:
    rng = generator(seed, epoch, 0, Purpose.ORDER)
    return [rows.tolist() for rows in bucketed_order(np.array(lengths, np.int32), batch_size, rng)]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 3))
def test_every_sentence_is_in_one_batch_of_at_most_the_batch_size(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    order = order_of(lengths, batch_size, seed)
    assert sorted(row for rows in order for row in rows) == list(range(len(lengths)))
    sizes = sorted(len(rows) for rows in order)
    assert sizes[-1] <= batch_size
    assert len(order) == -(-len(lengths) // batch_size), "more than one batch is only partly filled"


def test_the_order_depends_only_on_the_seed_and_the_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 500).tolist()
    orders = {(seed, epoch): order_of(lengths, 32, seed, epoch) for seed in (1, 2) for epoch in (0, 1, 2)}
    for (seed, epoch), order in orders.items():
        assert order == order_of(lengths, 32, seed, epoch)
        assert [other for other in orders if orders[other] == order] == [(seed, epoch)]


def test_batches_hold_sentences_of_similar_length_and_are_shuffled() -> None:
    lengths = (
        np.random.default_rng(0).integers(1, 60, 1600).tolist()
    )  # the number of sentences that are sorted together
    order = order_of(lengths, 32)
    spreads = [max(lengths[i] for i in rows) - min(lengths[i] for i in rows) for rows in order]
    assert max(spreads) <= 3
    means = [np.mean([lengths[i] for i in rows]) for rows in order]
    assert means != sorted(means)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_sentences_of_equal_length_are_batched_differently_in_each_epoch() -> None:
    first, second = (order_of([5] * 100, 10, epoch=epoch) for epoch in (0, 1))
    assert {frozenset(rows) for rows in first} != {frozenset(rows) for rows in second}


# --- Distinct tokens, and batches made ahead ------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(2, 9), min_size=1, max_size=6), min_size=1, max_size=5))
def test_every_id_is_recovered_from_the_table_of_distinct_tokens(sentences: list[list[int]]) -> None:
    batch = make_batch([np.array(ids, np.int32) for ids in sentences])
    assert batch.distinct_ids.tolist() == [0, *sorted({i for ids in sentences for i in ids})]
    np.testing.assert_array_equal(batch.distinct_ids[batch.token_rows], batch.token_ids)
    np.testing.assert_array_equal(batch.distinct_ids[batch.reversed_rows], batch.reversed_ids)


def test_distinct_rows_are_told_apart_even_if_their_numbers_would_overflow() -> None:
    # If each row became one number in bases 8 and 2³¹, the last two numbers would differ by 2⁶⁴.
    rows = np.array([[2**31 - 1, 2**31 - 1, 7], [2**30, 5, 3], [0, 5, 3]], np.int32)
    batch = make_batch([rows])
    assert len(batch.id_rows) == 4
    assert batch.token_ids.tolist() == [[2**31 - 1, 2**30, 0]]


def test_prefetched_items_are_the_same_and_in_order() -> None:
    assert list(prefetch(iter(range(100)), n_ahead=3)) == list(range(100))
    assert list(prefetch([])) == []


def test_an_error_of_the_producer_is_raised_in_the_reader() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_prefetch_respects_its_limit_and_its_thread_ends_with_the_reader() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    before = threading.active_count()
    ahead = prefetch(items(), n_ahead=2)
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    assert len(made) <= 5
    assert threading.active_count() == before


def test_a_reader_slower_than_the_producer_gets_every_item() -> None:
    ahead = prefetch(iter(range(4)), n_ahead=1)
    taken = []
    for i in ahead:
        time.sleep(0.25)  # longer than the producer waits for room in one try
        taken.append(i)
    assert taken == [0, 1, 2, 3]


def test_a_full_producer_stops_quickly_when_the_reader_closes() -> None:
    ahead = prefetch(itertools.count(), n_ahead=1)
    assert next(ahead) == 0
    time.sleep(0.3)
    start = time.monotonic()
    ahead.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 1


# --- Tokens with forms and features -----------------------------------------------------------------------------

# Five forms of one to three characters each; the first is the form of padding.
FORMS = WordForms(ids(0, 2, 3, 4, 5), ids(1, 7, 8, 9, 10, 11, 12, 13, 14), ids(1, 2, 3, 1, 2))


def characters_of(forms: WordForms, row: int) -> list[int]:
    end = int(forms.lengths[: row + 1].sum())
    found: list[int] = forms.characters[end - forms.lengths[row] : end].tolist()
    return found


TOKENS = st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 3), st.integers(4, 6))  # id, spelling, features


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_tables_hold_the_id_form_and_features_of_every_token(sentences: list[list[tuple[int, ...]]]) -> None:
    batch = make_batch([np.array(rows, np.int32) for rows in sentences], forms=FORMS)
    distinct = sorted({(0, 0, 0, 0), *(token for tokens in sentences for token in tokens)})
    assert batch.distinct_ids.tolist() == sorted({token[0] for token in distinct})
    assert batch.distinct_ids[batch.id_rows].tolist() == [token[0] for token in distinct]
    assert batch.feature_ids.tolist() == [list(token[2:]) for token in distinct]
    assert batch.forms is not None
    assert batch.forms.casing.tolist() == [FORMS.casing[token[1]] for token in distinct]
    for row, token in enumerate(distinct):
        assert characters_of(batch.forms, row) == characters_of(FORMS, token[1])
    for tokens, row, backward in zip(sentences, batch.token_rows, batch.reversed_rows, strict=True):
        padding = [(0, 0, 0, 0)] * (batch.token_rows.shape[1] - len(tokens))
        assert [distinct[i] for i in row] == [*tokens, *padding]
        assert [distinct[i] for i in backward] == [*tokens[::-1], *padding]


def test_without_spellings_and_features_a_batch_has_none() -> None:
    for sentence in (ids(7, 8), ids(7, 8)[:, None]):
        batch = make_batch([sentence], forms=FORMS)
        assert batch.feature_ids.shape == (3, 0)
        assert batch.feature_ids.dtype == np.int32
    assert make_batch([np.array([[7, 1]], np.int32)]).forms is None


@pytest.mark.parametrize("largest", [3, 2**20, 2**30, 2**31 - 1])
def test_distinct_rows_agree_with_numpy(largest: int) -> None:
    rng = np.random.default_rng(1)
    # Some of the products of these sizes only just fit into 64 bits, and some only just do not.
    for n_columns in (2, 3, 4):
        values = np.array([0, 1, 2, largest - 1, largest], np.int32)
        rows = rng.choice(values, (200, n_columns))
        rows[0] = largest
        found, which = _distinct_rows(rows)
        expected, inverse = np.unique(rows, axis=0, return_inverse=True)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(which.reshape(-1), inverse.reshape(-1))


# --- Batches by length, for prediction -------------------------------------------------------------------------------


def test_batches_by_length_hold_each_sentence_once_and_no_more_tokens_than_allowed() -> None:
    lengths = np.random.default_rng(1).integers(0, 60, 500).tolist()
    for max_length, batch_tokens in ((512, 200), (40, 200), (512, 1), (1, 1000)):
        batches = list(batches_by_length(lengths, max_length, batch_tokens))
        assert sorted(row for rows in batches for row in rows) == [row for row, n in enumerate(lengths) if n]
        for rows in batches:
            longest = max(lengths[row] for row in rows)
            assert len(rows) == 1 or (longest <= max_length and len(rows) * longest <= batch_tokens)
        widest = [max(lengths[row] for row in rows) for rows in batches]
        assert widest == sorted(widest, reverse=True)
    padded = sum(len(rows) * max(lengths[row] for row in rows) for rows in batches_by_length(lengths, 512, 1024))
    assert padded < 1.1 * sum(lengths), "batches of random sentences would be padded to twice the number of tokens"


# --- Shares of a batch ----------------------------------------------------------------------------------------------


@given(LENGTHS, st.integers(1, 4))
def test_a_share_of_a_batch_equals_a_batch_of_its_sentences(lengths: list[int], n: int) -> None:
    sentences = numbered(lengths)
    batch = make_batch(sentences, [sentence + 100 for sentence in sentences])
    for i in range(n):
        share, expected = batch.share(i, n), sentences[i::n]
        assert share.distinct_ids is batch.distinct_ids
        assert share.id_rows is batch.id_rows
        if not expected:
            assert share.lengths.tolist() == [0]
            assert share.lengths.dtype == np.int32
            for array in (share.token_rows, share.reversed_rows, share.tag_ids):
                assert array.tolist() == [[0]]
                assert array.dtype == np.int32
            continue
        alone = make_batch(expected, [sentence + 100 for sentence in expected])
        assert share.lengths.tolist() == alone.lengths.tolist()
        assert share.token_ids.tolist() == alone.token_ids.tolist()
        assert share.reversed_ids.tolist() == alone.reversed_ids.tolist()
        assert share.tag_ids.tolist() == alone.tag_ids.tolist()


def test_the_shares_hold_every_sentence_once_and_share_all_distinct_ids() -> None:
    rng = np.random.default_rng(1)
    sentences = [rng.integers(2, 30, n).astype(np.int32) for n in (1, 2, 7, 3, 5)]
    batch = make_batch(sentences, [ids + 100 for ids in sentences])
    for n in (1, 2, 3, 7):
        shares = [batch.share(i, n) for i in range(n)]
        found = [
            ids[: int(length)].tolist() for s in shares for ids, length in zip(s.token_ids, s.lengths, strict=True)
        ]
        assert sorted(ids for ids in found if ids) == sorted(ids.tolist() for ids in sentences)
        assert sum(share.n_tokens for share in shares) == batch.n_tokens
        for share in shares:
            assert share.distinct_ids is batch.distinct_ids
            assert share.token_ids.shape[1] == max(1, share.lengths.max())
            for tokens, backward, tags, k in zip(
                share.token_ids, share.reversed_ids, share.tag_ids, share.lengths, strict=True
            ):
                assert backward[:k].tolist() == tokens[:k].tolist()[::-1]
                assert tags[:k].tolist() == (tokens[:k] + 100).tolist()
    assert [len(batch.share(i, 7).lengths) for i in range(7)] == [1] * 7
    assert batch.share(6, 7).lengths.tolist() == [0]
    assert batch.share(6, 7).token_ids.tolist() == [[0]]
