"""Compare the network with stock Keras: a masked Bidirectional LSTM with the same weights is the oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small_models import small_network

from tagger.inputs.batching import Batch, make_batch
from tagger.inputs.encoder import Sizes

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.network import model  # noqa: E402
from tagger.network.bilstm import BlockLSTM, Kernel, dropout_mask  # noqa: E402
from tagger.network.model import TwoBranchTagger, sequence_loss  # noqa: E402
from tagger.network.packing import BatchTensors, join, pack, unpack  # noqa: E402

pytestmark = pytest.mark.tensorflow

V, E, H, K = 20, 5, 4, 6
LENGTHS = (1, 2, 7)


def a_network(**options: Any) -> TwoBranchTagger:
    """Return a network whose weights are so large that every gradient shows, even through products and two layers."""
    network = small_network(n_tokens=V, n_tags=K, embedding_dim=E, units=H, seed=3, **options)
    rng = np.random.default_rng(4)
    for weight in network.named_weights().values():
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return network


def test_rows_of_the_embedding_are_set_and_the_others_stay() -> None:
    network = a_network()
    before = network.weights_as_arrays()
    rows = np.arange(3 * E, dtype=np.float32).reshape(3, E)
    network.set_embedding_rows([(np.array([7, 2]), rows[:2]), (np.array([19]), rows[2:])])
    expected = before["embedding"].copy()
    expected[[7, 2, 19]] = rows
    np.testing.assert_array_equal(network.look_up(np.arange(V)), expected)
    after = network.weights_as_arrays()
    assert all(np.array_equal(after[name], before[name]) for name in after if name != "embedding")


def a_batch(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    ids = [rng.integers(2, V, n).astype(np.int32) for n in LENGTHS]
    tags = [rng.integers(0, K, n).astype(np.int32) for n in LENGTHS]
    return make_batch(ids, tags)


def logits_of(
    network: TwoBranchTagger, batch: Batch, dropout_seed: tuple[int, int] = (7, 0), *, training: bool = False
) -> Any:
    """Compute the logits [B, T, K]; the network itself returns them with the steps first."""
    rows = network.look_up(batch.distinct_ids)
    return tf.transpose(network(rows, fed(batch, dropout_seed), training=training), [1, 0, 2])


def fed(batch: Batch, dropout_seed: tuple[int, int] = (7, 0)) -> BatchTensors:
    return unpack(*join([pack(batch, dropout_seed)]), 0)


def loss_of(logits: Any, tag_ids: np.ndarray, lengths: np.ndarray) -> float:
    return float(sequence_loss(np.swapaxes(logits, 0, 1), tag_ids.T, lengths))


def masked_keras(network: TwoBranchTagger, merge: str) -> Any:
    """Build the same network, with the same weights, from stock layers: Embedding(mask_zero) and Bidirectional."""
    mode = None if merge == "concat" else merge
    layers = [keras.layers.Embedding(V, E, mask_zero=True)]
    for _ in network.blocks:
        layers.append(
            keras.layers.Bidirectional(keras.layers.LSTM(H, return_sequences=True), merge_mode=mode or "concat")
        )
    layers.append(keras.layers.Dense(K))
    model = keras.Sequential(layers)
    model.build((None, None))
    layers[0].embeddings.assign(network.embedding)
    for block, bidirectional in zip(network.blocks, layers[1:-1], strict=True):
        for ours, theirs in (
            (block.branches["forward"], bidirectional.forward_layer),
            (block.branches["backward"], bidirectional.backward_layer),
        ):
            theirs.set_weights(ours.get_weights())
    layers[-1].set_weights(network.softmax.get_weights())
    return model


@pytest.mark.parametrize("kernel", [Kernel.BLOCK, Kernel.PLAIN])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_outputs_and_gradients_equal_a_masked_bidirectional_lstm(merge: str, layers: int, kernel: Kernel) -> None:
    network, batch = a_network(merge=merge, layers=layers, kernel=kernel), a_batch()
    oracle = masked_keras(network, merge)
    weighting = np.random.default_rng(1).normal(size=(len(LENGTHS), max(LENGTHS), K)).astype(np.float32)
    weighting *= batch.mask[..., None]

    with tf.GradientTape() as tape:
        ours = logits_of(network, batch)
        our_loss = tf.reduce_sum(ours * weighting)
    our_gradients = tape.gradient(our_loss, [weight.value for weight in network.named_weights().values()])
    with tf.GradientTape() as tape:
        theirs = oracle(batch.token_ids)
        their_loss = tf.reduce_sum(theirs * weighting)
    their_gradients = tape.gradient(their_loss, oracle.trainable_variables)

    np.testing.assert_allclose(np.array(ours)[batch.mask], np.array(theirs)[batch.mask], atol=1e-6)
    assert len(our_gradients) == len(their_gradients) == 3 + 6 * layers
    for name, ours_, theirs_ in zip(network.named_weights(), our_gradients, their_gradients, strict=True):
        ours_, theirs_ = (np.array(tf.convert_to_tensor(gradient)) for gradient in (ours_, theirs_))
        assert np.abs(theirs_).max() > 0.01, f"the gradient of {name} is too small to test anything"
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("direction", "half"), [("forward", slice(0, H)), ("backward", slice(H, 2 * H))])
def test_one_direction_equals_its_half_of_a_masked_bidirectional_lstm(direction: str, half: slice) -> None:
    network, batch = a_network(direction=direction), a_batch()
    reference = keras.layers.Bidirectional(keras.layers.LSTM(H, return_sequences=True))
    x = network.embedding.numpy()[batch.token_ids]
    reference.build(x.shape)
    (branch,) = network.blocks[0].branches.values()
    (reference.forward_layer if direction == "forward" else reference.backward_layer).set_weights(branch.get_weights())
    kernel, bias = network.softmax.get_weights()
    expected = np.array(reference(x, mask=batch.mask))[..., half] @ kernel + bias
    np.testing.assert_allclose(np.array(logits_of(network, batch))[batch.mask], expected[batch.mask], atol=1e-6)


@pytest.mark.parametrize("direction", ["both", "forward", "backward"])
def test_padding_affects_neither_logits_nor_loss(direction: str) -> None:
    network, batch = a_network(layers=2, direction=direction), a_batch()
    logits = np.array(logits_of(network, batch))
    loss = loss_of(logits, batch.tag_ids, batch.lengths)

    rng = np.random.default_rng(5)
    n_more = 3
    shape = (len(LENGTHS), max(LENGTHS) + n_more)
    mask = np.pad(batch.mask, ((0, 0), (0, n_more)))

    def other_padding(rows: np.ndarray) -> np.ndarray:
        noise = rng.integers(0, len(batch.distinct_ids), shape).astype(np.int32)
        return np.where(mask, np.pad(rows, ((0, 0), (0, n_more))), noise)

    rows = {name: other_padding(getattr(batch, name)).T for name in ("token_rows", "reversed_rows")}
    changed = np.array(network(network.look_up(batch.distinct_ids), fed(batch)._replace(**rows))).swapaxes(0, 1)
    np.testing.assert_allclose(changed[mask], logits[batch.mask], atol=1e-6)
    noise_tags = np.where(mask, np.pad(batch.tag_ids, ((0, 0), (0, n_more))), rng.integers(0, K, shape))
    assert loss_of(changed, noise_tags.astype(np.int32), batch.lengths) == pytest.approx(loss, abs=1e-5)


def test_the_backward_branch_reads_the_right_context_and_the_forward_branch_the_left() -> None:
    batch = a_batch()
    changed = batch.token_ids.copy()
    changed[2, 3] = (changed[2, 3] + 1 - 2) % (V - 2) + 2  # one token in the middle of the longest sentence
    other = make_batch([changed[i, :n] for i, n in enumerate(LENGTHS)])
    for direction, touched in (("forward", range(3, 7)), ("backward", range(4))):
        network = a_network(direction=direction)
        difference = np.abs(np.array(logits_of(network, batch)) - np.array(logits_of(network, other))).max(axis=-1)
        assert set(np.flatnonzero(difference[2] > 1e-7)) == set(touched)


def test_loss_is_the_sum_of_cross_entropies_at_real_tokens() -> None:
    batch = a_batch()
    logits = np.random.default_rng(2).normal(size=(*batch.mask.shape, K)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = 0.0
    for row, n in enumerate(LENGTHS):
        for t in range(n):
            expected -= np.log(probabilities[row, t, batch.tag_ids[row, t]])
    logits[~batch.mask] = np.nan  # logits at padding must not matter
    assert loss_of(logits, batch.tag_ids, batch.lengths) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    ("direction", "merge"),
    [*(("both", merge) for merge in ("concat", "sum", "mul", "ave")), ("forward", "sum"), ("backward", "concat")],
)
def test_dropout_masks_of_inputs_and_merged_outputs_are_constant_over_time(
    direction: str, merge: str, layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, batch = (
        a_network(dropout=0.4, input_dropout=0.4, layers=layers, direction=direction, merge=merge),
        a_batch(),
    )
    masks: list[np.ndarray] = []

    def seen(*arguments: Any) -> Any:
        masks.append(np.array(dropout_mask(*arguments)))
        return masks[-1]

    monkeypatch.setattr(model, "dropout_mask", seen)
    logits = np.array(logits_of(network, batch, training=True))
    assert len({mask.tobytes() for mask in masks}) == len(masks) == 1 + layers

    x = network.embedding.numpy()[batch.token_ids] * masks[0][:, None]
    for block, mask in zip(network.blocks, masks[1:], strict=True):
        outputs = []
        for name, branch in block.branches.items():
            reference = keras.layers.LSTM(H, return_sequences=True)
            reference.build(x.shape)
            reference.set_weights(branch.get_weights())
            rows = []
            for row, n in enumerate(batch.lengths):
                sentence = x[row : row + 1, :n]
                h = np.array(reference(sentence[:, ::-1] if name == "backward" else sentence))[0]
                rows.append(np.pad(h[::-1] if name == "backward" else h, ((0, x.shape[1] - n), (0, 0))))
            outputs.append(np.stack(rows))
        merged = (
            {
                "concat": lambda o: np.concatenate(o, -1),
                "sum": sum,
                "mul": lambda o: np.prod(o, 0),
                "ave": lambda o: sum(o) / 2,
            }[merge](outputs)
            if len(outputs) == 2
            else outputs[0]
        )
        x = merged * mask[:, None]
    kernel, bias = network.softmax.get_weights()
    np.testing.assert_allclose(logits[batch.mask], (x @ kernel + bias)[batch.mask], atol=1e-5)


def test_both_branches_drop_the_same_inputs() -> None:
    # With the backward branch set to the forward branch's weights, a palindrome of length n gives mirrored outputs
    # only if both branches see the same mask.
    network = a_network(dropout=0.5, input_dropout=0.5, merge="sum")
    block = network.blocks[0]
    block.branches["backward"].set_weights(block.branches["forward"].get_weights())
    batch = make_batch([np.array([5, 9, 5], np.int32)])
    for step in range(5):
        logits = np.array(logits_of(network, batch, (step, 0), training=True))
        np.testing.assert_allclose(logits[0, 0], logits[0, 2], atol=1e-6)


@pytest.mark.parametrize("kernel", list(Kernel))
def test_every_branch_uses_the_given_kernel(kernel: Kernel) -> None:
    network = a_network(kernel=kernel, layers=2)
    branches = [branch for block in network.blocks for branch in block.branches.values()]
    assert [type(branch) is BlockLSTM for branch in branches] == [kernel is Kernel.BLOCK] * 4
    assert [branch.use_cudnn for branch in branches] == [kernel is Kernel.CUDNN] * 4


def test_the_seed_decides_the_initial_weights_and_no_two_matrices_start_equal() -> None:
    def initial(seed: int) -> dict[str, np.ndarray]:
        return small_network(
            n_tokens=V, n_tags=K, embedding_dim=H, units=H, layers=2, merge="sum", seed=seed
        ).weights_as_arrays()

    first, second, other = initial(3), initial(3), initial(4)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
        if not name.endswith("bias"):
            assert (first[name] != other[name]).any()
    drawn = [weight for name, weight in first.items() if name.endswith("kernel") and name != "softmax.kernel"]
    for a, b in itertools.combinations(drawn, 2):
        assert not np.array_equal(a, b)


def test_mixed_precision_computes_the_blocks_in_float16_and_all_else_in_float32() -> None:
    batch = a_batch()
    full, mixed = a_network(layers=2), a_network(layers=2, mixed_precision=True)
    assert {str(weight.dtype) for weight in mixed.named_weights().values()} == {"float32"}
    dtypes: list[str] = []
    for branch in (branch for block in mixed.blocks for branch in block.branches.values()):
        call = branch.call
        branch.call = lambda x, *a, call=call, **k: dtypes.append(x.dtype.name) or call(x, *a, **k)
    ours, theirs = (np.array(logits_of(network, batch)) for network in (mixed, full))
    assert ours.dtype == np.float32
    assert dtypes == ["float16"] * 4
    np.testing.assert_allclose(ours[batch.mask], theirs[batch.mask], atol=2e-2)
    assert (ours[batch.mask] != theirs[batch.mask]).any()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"direction": "backward", "layers": 2, "decoder": "crf"},
        {"merge": "sum", "layers": 3, "characters": "cnn", "n_characters": 12},
        {
            "characters": "lstm",
            "character_units": 6,
            "n_characters": 12,
            "casing": True,
            "merge": "concat",
            "layers": 2,
        },
        {"casing": True, "n_features": 2, "n_feature_ids": 9, "feature_dim": 4},
    ],
)
def test_the_spec_knows_the_shape_of_every_weight_before_the_network_is_built(settings: dict[str, Any]) -> None:
    network = small_network(n_tokens=7, n_tags=5, embedding_dim=3, units=4, **settings)
    sizes = {"n_tokens": 7, "n_tags": 5} | {name: settings[name] for name in settings if name in Sizes._fields}
    shapes = {name: array.shape for name, array in network.weights_as_arrays().items()}
    assert network.spec.weight_shapes(Sizes(**sizes)) == shapes
