"""Compare the representation of single tokens with stock layers that have the same weights."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small_models import small_network

from tagger.inputs.batching import Batch, make_batch
from tagger.inputs.characters import CharacterVocabulary, WordForms, encode_forms
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import TokenVocabulary

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.embedding import CharacterCNN, CharacterLSTM, CharacterNetwork  # noqa: E402
from tagger.network.model import TwoBranchTagger  # noqa: E402
from tagger.network.packing import join, pack, unpack  # noqa: E402

pytestmark = pytest.mark.tensorflow

VOCABULARY = CharacterVocabulary(tuple("abcdefgh"))
TOKENS = ["a", "bc", "", "aaaa", "hgfedcbaabcdefgh", "?", "cb"]


def randomised(network: Any) -> Any:
    rng = np.random.default_rng(4)
    for weight in network.named_weights().values():
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return network


def called(network: CharacterNetwork, forms: WordForms) -> Any:
    return network(tf.constant(forms.characters), tf.constant(forms.lengths))


def by_convolution(network: CharacterCNN, ids: np.ndarray) -> Any:
    """Convolve a single token, padded by one character on each side."""
    x = tf.gather(network.embedding.value, np.pad(ids, 1))[None]
    return tf.reduce_max(tf.nn.conv1d(x, network.kernel.value, 1, "VALID") + network.bias.value, axis=1)[0]


def by_keras_lstm(network: CharacterLSTM, ids: np.ndarray) -> Any:
    x = tf.gather(network.embedding.value, ids)[None]
    both = keras.layers.Bidirectional(keras.layers.LSTM(network.output_dim // 2))
    both.build(x.shape)
    for name, layer in (("forward", both.forward_layer), ("backward", both.backward_layer)):
        layer.set_weights(network.branches[name].get_weights())
    return both(x)[0]


@pytest.mark.parametrize("kernel", [Kernel.PLAIN, Kernel.BLOCK])
def test_both_networks_equal_stock_layers_that_read_each_token_alone(kernel: Kernel) -> None:
    forms = encode_forms(TOKENS, VOCABULARY)
    one_by_one = np.split(forms.characters, np.cumsum(forms.lengths)[:-1])
    sizes = len(VOCABULARY), 5, 6
    for network, oracle in [
        (randomised(CharacterCNN(*sizes, seed=1)), by_convolution),
        (randomised(CharacterLSTM(*sizes, seed=1, kernel=kernel)), by_keras_lstm),
    ]:
        expected = np.stack([oracle(network, ids) for ids in one_by_one])
        np.testing.assert_allclose(called(network, forms), expected, atol=1e-6)
        assert len({row.tobytes() for row in expected.round(5)}) == len(TOKENS) - 1, (
            "only padding, '' and ? may have the same representation"
        )


def test_gradients_equal_those_of_a_plain_convolution() -> None:
    forms = encode_forms(["abc", "cab", "bbbb", "a"], VOCABULARY)
    one_by_one = np.split(forms.characters, np.cumsum(forms.lengths)[:-1])
    weights = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    network = randomised(CharacterCNN(len(VOCABULARY), 5, 6, seed=1))
    variables = [weight.value for weight in network.named_weights().values()]
    found = []
    for compute in (
        lambda: called(network, forms),
        lambda: tf.stack([by_convolution(network, ids) for ids in one_by_one]),
    ):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(compute() * weights)
        found.append([np.array(tf.convert_to_tensor(gradient)) for gradient in tape.gradient(loss, variables)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert np.abs(ours).max() > 0.1


# --- The whole representation ---------------------------------------------------------------------------------------

ENCODER = Encoder(
    TokenVocabulary(("a", "bc")), VOCABULARY, True, (TokenVocabulary(("N", "V")), TokenVocabulary(("x",)))
)
SENTENCES = [(["a", "bc", "A1", "zz"], ["N", "V", "?", "N"], ["x"] * 4), (["bc"], ["N"], ["o"])]


def a_network(**options: Any) -> TwoBranchTagger:
    reads = {"characters": "cnn", "character_dim": 3, "character_units": 4, "casing": True, "feature_dim": 2}
    sizes = ENCODER.sizes(5)._asdict()
    return randomised(small_network(**sizes, embedding_dim=6, units=4, **reads | options))


def a_batch() -> Batch:
    encoded = ENCODER.encode(SENTENCES)
    return make_batch(encoded.sentences, None, encoded.forms)


def represented(network: TwoBranchTagger, batch: Batch) -> Any:
    return network.representation(network.look_up(batch.distinct_ids), unpack(*join([pack(batch)]), 0))


def test_the_parts_of_each_token_are_concatenated() -> None:
    network, batch = a_network(), a_batch()
    table = np.array(represented(network, batch))
    assert table.shape == (6, network.representation.output_dim) == (6, 6 + 4 + 10 + 2 * 2)
    weights = network.weights_as_arrays()
    assert network.representation.characters is not None
    spelled = np.array(called(network.representation.characters, encode_forms(SENTENCES[0][0], VOCABULARY)))[1:]
    for t, (token_id, casing, n, x) in enumerate([(2, 2, 2, 6), (3, 2, 3, 6), (1, 6, 1, 6), (1, 2, 2, 6)]):
        expected = np.concatenate(
            [
                weights["embedding"][token_id], spelled[t], weights["casing.embedding"][casing],
                weights["features.embedding"][n], weights["features.embedding"][x],
            ]
        )  # fmt: skip
        np.testing.assert_allclose(table[batch.token_rows[0, t]], expected, atol=1e-6)


@pytest.mark.parametrize("characters", ["none", "cnn", "lstm"])
@pytest.mark.parametrize("casing", [False, True])
def test_each_part_can_be_left_out(characters: str, casing: bool) -> None:
    network = a_network(characters=characters, casing=casing)
    size = 6 + 4 * (characters != "none") + 10 * casing + 4
    assert np.array(represented(network, a_batch())).shape == (6, size)
    assert any(name.startswith("characters.") for name in network.named_weights()) == (characters != "none")


def test_every_weight_has_a_gradient_and_no_two_start_equal() -> None:
    for characters in ("cnn", "lstm"):
        network, batch = a_network(characters=characters), a_batch()
        with tf.GradientTape() as tape:
            logits = network(network.look_up(batch.distinct_ids), unpack(*join([pack(batch)]), 0))
            loss = tf.reduce_sum(tf.square(logits))
        named = {name: weight.value for name, weight in network.named_weights().items() if name != "embedding"}
        for name, gradient in zip(named, tape.gradient(loss, list(named.values())), strict=True):
            assert np.abs(np.array(tf.convert_to_tensor(gradient))).max() > 0, name
        fresh = small_network(
            **ENCODER.sizes(5)._asdict(), embedding_dim=6, units=4, characters=characters, casing=True, seed=3
        ).weights_as_arrays()
        drawn = [array.ravel()[:4].tobytes() for name, array in fresh.items() if not name.endswith("bias")]
        assert len(set(drawn)) == len(drawn)


def test_token_dropout_is_the_same_wherever_a_token_occurs() -> None:
    # The sentence is a palindrome. If the branches are equal and summed, mirrored tokens have equal logits only if
    # their dropout masks are equal.
    network = a_network(characters="none", casing=False, merge="sum", token_dropout=0.5)
    block = network.blocks[0]
    block.branches["backward"].set_weights(block.branches["forward"].get_weights())
    encoded = ENCODER.encode([(["a", "bc", "a"], ["N"] * 3, ["x"] * 3)])
    batch = make_batch(encoded.sentences, None, encoded.forms)
    seen = []
    for step in range(5):
        fed = unpack(*join([pack(batch, (step, 0))]), 0)
        logits = np.array(network(network.look_up(batch.distinct_ids), fed, training=True))[:, 0]
        np.testing.assert_allclose(logits[0], logits[2], atol=1e-6)
        seen.append(logits)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize("kernel", [Kernel.PLAIN, Kernel.BLOCK])
def test_recurrent_dropout_equals_a_network_with_masked_recurrent_weights(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagger.network import model

    masks = []
    dropped = model.dropout_mask

    def seen(*arguments: Any) -> Any:
        masks.append(np.array(dropped(*arguments)))
        return masks[-1]

    monkeypatch.setattr(model, "dropout_mask", seen)
    network, batch = a_network(recurrent_dropout=0.4, layers=2, kernel=kernel), a_batch()
    fed = unpack(*join([pack(batch, (3, 0))]), 0)
    logits = np.array(network(network.look_up(batch.distinct_ids), fed, training=True))
    assert [mask.shape for mask in masks] == [(4, 16)] * 4
    assert len({mask.tobytes() for mask in masks}) == 4
    kept = {weight.round(4) for mask in masks for weight in np.unique(mask)}
    assert kept == {np.float32(0), np.float32(1 / 0.6).round(4)}

    plain = a_network(layers=2, kernel=kernel)
    branches = [branch for block in plain.blocks for branch in block.branches.values()]
    for branch, mask in zip(branches, masks, strict=True):
        branch.cell.recurrent_kernel.assign(branch.cell.recurrent_kernel * mask)
    expected = np.array(plain(plain.look_up(batch.distinct_ids), fed, training=True))
    for i, (columns, *_) in enumerate(SENTENCES):
        np.testing.assert_allclose(logits[: len(columns), i], expected[: len(columns), i], atol=1e-5)
    assert network.blocks[0].branches["forward"].cell.recurrent_kernel is not None, (
        "the cell must get its own kernel back"
    )
    again = np.array(network(network.look_up(batch.distinct_ids), fed))
    whole = a_network(layers=2, kernel=kernel)
    np.testing.assert_array_equal(again, np.array(whole(whole.look_up(batch.distinct_ids), fed)))
