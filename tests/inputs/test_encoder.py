from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs.batching import make_batch
from tagger.inputs.characters import CharacterVocabulary, casing_of
from tagger.inputs.encoder import Encoder, Sizes
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


def test_an_encoder_of_tokens_alone_encodes_nothing_else() -> None:
    sentences, forms = Encoder(TOKENS).encode([(["EU", "x"],), ([],)])
    assert [ids.tolist() for ids in sentences] == [[2, UNK_ID], []]
    assert forms is None
    assert Encoder(TOKENS).encode([]) == ([], None)
    assert FULL.encode([])[0] == []
    assert FULL.encode([([], [], [])])[0][0].shape == (0, 4)


WORDS = st.sampled_from(["EU", "eu", "Eu", "rejects", "foo", ""])
SENTENCE = st.lists(st.tuples(WORDS, st.sampled_from(["NNP", "VBZ", "X"]), st.sampled_from(["I-NP", "O"])), min_size=1)


@given(st.lists(SENTENCE, min_size=1, max_size=5))
def test_a_batch_holds_the_id_spelling_and_features_of_each_token(rows: list[list[tuple[str, str, str]]]) -> None:
    sentences = [tuple(map(list, zip(*sentence, strict=True))) for sentence in rows]
    encoded = FULL.encode(sentences)
    batch = make_batch(encoded.sentences, None, encoded.forms)
    assert len(set(batch.distinct_ids.tolist())) == len(batch.distinct_ids)
    distinct = {row for sentence in rows for row in sentence}
    assert len(batch.id_rows) == len(distinct) + 1, "each distinct token must occur once, after the padding"
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
