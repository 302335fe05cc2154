"""Check that the training loop learns, depends only on its seed, and stops when it is told to."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_models import small_network

from tagger.architecture import Decoder
from tagger.config.keys import TrainingConfig
from tagger.errors import TaggerError
from tagger.inputs.batching import Batch
from tagger.inputs.training_set import TrainingSet, WordDropout

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.distributed import Replicas  # noqa: E402
from tagger.network.model import NetworkLogits, sequence_loss  # noqa: E402
from tagger.network.optimizers import rate_of  # noqa: E402
from tagger.network.packing import join, pack, unpack  # noqa: E402
from tagger.network.trainer import Progress, Stopped, Trainer, call_groups, dropout_seed  # noqa: E402

pytestmark = pytest.mark.tensorflow

V, K = 30, 4


def a_training_set(seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    ids = [rng.integers(2, V, rng.integers(1, 9)).astype(np.int32) for _ in range(40)]
    word_dropout = WordDropout(rare=np.ones(V, bool), unk_probability=0.1)
    return TrainingSet(
        sentences=ids, tag_ids=[row % K for row in ids], word_dropout=word_dropout, batch_size=8, seed=seed
    )


def a_trainer(
    *,
    mixed_precision: bool = False,
    replicas: Replicas | None = None,
    frozen: np.ndarray | None = None,
    **settings: object,
) -> Trainer:
    kernel = Kernel.PLAIN if mixed_precision else Kernel.BLOCK  # of a graph that is built twice as fast
    network = small_network(
        n_tokens=V, n_tags=K, embedding_dim=8, units=8, dropout=0.2, seed=1, kernel=kernel, mixed_precision=mixed_precision
    )  # fmt: skip
    config = TrainingConfig(**{"optimizer": "adam", "ema": None, **settings})  # type: ignore[arg-type]
    return Trainer(network, config, replicas, frozen=frozen)


def calls_of(trainer: Trainer, batches: Iterable[Batch], epoch: int = 0) -> Iterator[tuple[int, Any]]:
    """Yield the number of tokens and the arguments of each call of the compiled step."""
    for _, n_tokens, arguments in trainer._calls(batches, epoch, 0, lambda: False):
        yield n_tokens, arguments


def losses(trainer: Trainer, epochs: int = 3) -> list[float]:
    data = a_training_set()
    return [trainer.train_epoch(data.batches(epoch), epoch).loss for epoch in range(epochs)]


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adam", 0.02), ("nadam", 0.02), ("sgd", 0.1)])
def test_every_optimizer_learns(optimizer: str, learning_rate: float) -> None:
    first, *_, last = losses(a_trainer(optimizer=optimizer, learning_rate=learning_rate), epochs=8)
    assert last < 0.7 * first


def test_the_same_seed_gives_the_same_weights_and_another_seed_other_weights() -> None:
    trainers = [a_trainer(), a_trainer(), a_trainer(seed=2)]
    for trainer in trainers:
        losses(trainer)
    same, again, other = (trainer.network.weights_as_arrays()["softmax.kernel"] for trainer in trainers)
    np.testing.assert_array_equal(same, again)
    assert (same != other).any()


def test_the_reported_loss_is_per_token_and_the_trained_loss_per_sentence() -> None:
    trainer = a_trainer(optimizer="sgd", learning_rate=0.1, decay=0.0, clip_norm=None)
    trainer.network.spec = dataclasses.replace(trainer.network.spec, dropout=0.0)
    batch = next(iter(a_training_set().batches(0)))
    with tf.GradientTape() as tape:
        network = trainer.network
        logits = network(network.look_up(batch.distinct_ids), unpack(*join([pack(batch)]), 0))
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.tag_ids.T, logits)
        loss = tf.reduce_sum(tf.boolean_mask(each, batch.mask.T)) / len(batch.lengths)
    bias = trainer.network.softmax.bias
    expected = bias.numpy() - 0.1 * np.array(tape.gradient(loss, bias.value))
    result = trainer.train_epoch([batch], 0)
    np.testing.assert_allclose(bias.numpy(), expected, atol=1e-6)
    assert result.loss == pytest.approx(float(loss) * len(batch.lengths) / batch.n_tokens, rel=1e-5)
    assert result.tokens == batch.n_tokens == batch.lengths.sum()


def test_the_learning_rate_decays_by_epoch() -> None:
    trainer = a_trainer(learning_rate=0.01, decay=0.5)
    rates = []
    for epoch in range(3):
        trainer.train_epoch(a_training_set().batches(epoch), epoch)
        rates.append(float(trainer.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.01, 0.01 / 1.5, 0.01 / 2.0], rtol=1e-6)


def test_clipping_bounds_the_update() -> None:
    trainer = a_trainer(optimizer="sgd", learning_rate=1.0, clip_norm=0.01)
    before = trainer.network.weights_as_arrays()
    trainer.train_epoch(list(a_training_set().batches(0))[:1], 0)
    after = trainer.network.weights_as_arrays()
    norm = np.sqrt(sum(((after[name] - before[name]) ** 2).sum() for name in before))
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_a_stop_request_ends_the_epoch_after_the_queued_steps() -> None:
    trainer, done = a_trainer(), list[int]()
    batches = [batch for epoch in range(10) for batch in a_training_set().batches(epoch)]
    with pytest.raises(Stopped):
        trainer.train_epoch(batches, 0, on_step=done.append, should_stop=lambda: len(done) == 2)
    assert len(done) == 2
    assert done == [sum(b.n_tokens for b in batches[i : i + 16]) for i in (0, 16)]
    assert int(trainer.optimizer.steps) == 32


@pytest.mark.parametrize(
    ("units", "layers", "steps"), [(8, 1, 16), (100, 1, 16), (400, 1, 4), (400, 2, 2), (5000, 1, 1)]
)
def test_a_stop_request_waits_for_fewer_steps_of_a_larger_network(units: int, layers: int, steps: int) -> None:
    trainer = a_trainer()
    branch = SimpleNamespace(units=units)
    blocks = [SimpleNamespace(branches={"forward": branch, "backward": branch})] * layers
    trainer.network = SimpleNamespace(blocks=blocks)  # type: ignore[assignment]
    batches = list(a_training_set().batches(0)) * 4
    tokens = [n for n, _ in calls_of(trainer, batches)]
    assert tokens == [sum(b.n_tokens for b in batches[i : i + steps]) for i in range(0, len(batches), steps)]


def test_a_call_ends_after_many_tokens_wherever_training_continues() -> None:
    def groups(lengths: list[int], first: int = 0) -> list[list[int]]:
        batches = [SimpleNamespace(n_tokens=n) for n in lengths]
        return [[step for step, _ in group] for group in call_groups(enumerate(batches[first:], first), 3)]  # type: ignore[arg-type, type-var]

    lengths = [1, 1, 1, 1, 4095, 1, 4096, 9000, 4000, 95, 1, 7]
    assert groups(lengths) == [[0, 1, 2], [3, 4], [5, 6], [7], [8, 9, 10], [11]]
    for first in (3, 5, 7, 8, 11):
        assert groups(lengths, first) == [group for group in groups(lengths) if group[0] >= first]


def test_several_steps_in_one_call_equal_single_calls() -> None:
    batches = list(a_training_set().batches(0)) * 2 + list(a_training_set().batches(1))
    together, one_by_one = a_trainer(), a_trainer()
    progress = Progress()
    for batch in batches:
        one_by_one.train_epoch([batch], 0, progress)
    assert len(progress.losses) == progress.steps == len(batches)
    expected = sum(progress.losses)
    loss = together.train_epoch(batches, 0)
    assert len(batches) % 16
    assert int(together.optimizer.steps) == len(batches)
    assert loss.loss * loss.tokens == pytest.approx(expected, rel=1e-5)
    ours, theirs = (trainer.network.weights_as_arrays() for trainer in (together, one_by_one))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_nan_loss_is_an_error_with_advice() -> None:
    trainer = a_trainer()
    trainer.network.softmax.bias.assign([np.nan] * K)
    with pytest.raises(
        TaggerError, match=r"epoch 1: found a loss of nan per token at step 1: .*lower training\.learning_rate"
    ):
        trainer.train_epoch(a_training_set().batches(0), 0)


def test_new_lengths_do_not_recompile_the_step() -> None:
    trainer, built = a_trainer(), []
    build = trainer._train_steps
    trainer._train_steps = lambda *arguments: built.append(1) or build(*arguments)  # type: ignore[method-assign]

    def of_length(n: int) -> Iterable[Batch]:
        ids = [np.full(n, 3, np.int32)] * 2
        word_dropout = WordDropout(rare=np.zeros(V, bool), unk_probability=0.0)
        return TrainingSet(sentences=ids, tag_ids=ids, word_dropout=word_dropout, batch_size=2, seed=0).batches(0)

    for n in (3, 9, 27):
        trainer.train_epoch(of_length(n), 0)
    assert built == [1]


def test_the_graphs_of_a_training_are_freed_with_it() -> None:
    network = small_network(n_tokens=V, n_tags=K, embedding_dim=4, units=4, decoder=Decoder.CRF, kernel=Kernel.BLOCK)
    trainer, logits = Trainer(network, TrainingConfig()), NetworkLogits(network)
    trainer.train_epoch(a_training_set().batches(0), 0)
    logits([np.array([3, 4], np.int32)])
    graphs = [weakref.ref(compiled.graph) for compiled in (trainer._compiled, logits._compiled)]
    assert all(graph() is not None for graph in graphs)
    del trainer, logits
    gc.collect()
    assert [graph() for graph in graphs] == [None, None]


def test_no_two_steps_or_epochs_share_their_dropout_seed() -> None:
    seeds = [dropout_seed(seed, epoch, step) for seed in (1, 2) for epoch in range(40) for step in range(300)]
    assert len(set(seeds)) == len(seeds)


def test_every_call_carries_the_dropout_seeds_of_its_epoch_steps_and_replicas() -> None:
    def seeds(trainer: Trainer, epoch: int) -> list[tuple[int, ...]]:
        found = []
        for _, (packed, starts) in calls_of(trainer, a_training_set().batches(0), epoch):
            for i in range(len(starts) - 1):
                found.append(tuple(unpack(packed, starts, i).dropout_seed.numpy().tolist()))
        return found

    replicas = Replicas()
    trainer = a_trainer(replicas=replicas)
    first, second = seeds(trainer, 0), seeds(trainer, 1)
    assert first == [dropout_seed(1, 0, step) for step in range(5)]
    assert len(set(first + second)) == 10
    replicas.n, replicas.local = 2, range(2)
    assert seeds(trainer, 0) == [dropout_seed(1, 0, step, replica) for step in range(5) for replica in range(2)]
    assert len({dropout_seed(1, e, s, r) for e in range(9) for s in range(50) for r in range(4)}) == 9 * 50 * 4


def test_infinite_weights_are_detected_even_if_no_loss_shows_them() -> None:
    trainer = a_trainer()
    embedding = trainer.network.embedding.numpy()
    embedding[1, 3] = np.inf  # the row of UNK, which occurs in no batch because no token is replaced
    trainer.network.embedding.assign(embedding)
    data = dataclasses.replace(a_training_set(), word_dropout=WordDropout(rare=np.ones(V, bool), unk_probability=0.0))
    with pytest.raises(TaggerError, match=r"epoch 1: found weights that are not finite at step 5: "):
        trainer.train_epoch(data.batches(0), 0)


# --- Mixed precision -----------------------------------------------------------------------------------------------


def test_mixed_precision_trains_as_float32_does() -> None:
    full, mixed = (losses(a_trainer(learning_rate=0.02, mixed_precision=mixed)) for mixed in (False, True))
    np.testing.assert_allclose(mixed, full, rtol=2e-3)
    assert mixed != full


def test_gradients_are_divided_by_the_loss_scale_again() -> None:
    # A constant factor would show in plain SGD without clipping.
    settings = {"optimizer": "sgd", "learning_rate": 0.01, "clip_norm": None}
    full, mixed = (a_trainer(mixed_precision=mixed, **settings) for mixed in (False, True))
    for trainer in (full, mixed):
        trainer.train_epoch(a_training_set().batches(0), 0)
    ours, theirs = (trainer.network.weights_as_arrays() for trainer in (mixed, full))
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=5e-3)


def test_a_step_whose_gradients_overflow_is_skipped_and_the_loss_scale_halves() -> None:
    trainer = a_trainer(mixed_precision=True)
    before = trainer.network.weights_as_arrays()
    batch = next(iter(a_training_set().batches(0)))
    scale = trainer.variables()[1]["loss_scale"]
    scale.assign(2.0**24)  # the largest float16 number is 65504
    scales = []
    for _ in range(30):
        trainer.train_epoch([batch], 0)
        scales.append(float(scale))
        if int(trainer.optimizer.steps):
            break
        after = trainer.network.weights_as_arrays()
        assert all((after[name] == before[name]).all() for name in before)
    assert scales[:-1] == [2.0 ** (23 - i) for i in range(len(scales) - 1)]
    assert scales[-1] == scales[-2] > 1
    assert len(scales) > 3


# --- Parts of a batch, label smoothing, steps of the learning rate ---------------------------------------------------


@pytest.mark.parametrize("parts", [3, 20])
def test_gradients_accumulated_over_parts_of_a_batch_equal_those_of_the_batch(parts: int) -> None:
    # With 8 sentences in a batch, 3 parts are uneven, and most of 20 parts are empty. A step of plain SGD is the
    # gradient.
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 1.0}
    whole, in_parts = a_trainer(**settings), a_trainer(**settings, accumulate=parts)
    results = []
    for trainer in (whole, in_parts):
        trainer.network.spec = dataclasses.replace(trainer.network.spec, dropout=0.0)
        results.append([trainer.train_epoch(a_training_set().batches(epoch), epoch).loss for epoch in range(2)])
    assert results[0] == pytest.approx(results[1], rel=1e-4)
    ours, theirs = in_parts.network.weights_as_arrays(), whole.network.weights_as_arrays()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-5, err_msg=name)


def test_parts_of_a_batch_draw_their_own_dropout() -> None:
    seeds = set()
    trainer = a_trainer(accumulate=3)
    for _, (packed, starts) in calls_of(trainer, list(a_training_set().batches(0))[:2]):
        for i in range(len(starts) - 1):
            seeds.add(tuple(unpack(packed, starts, i).dropout_seed.numpy().tolist()))
    assert len(seeds) == 6


def test_label_smoothing_equals_that_of_keras() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(5, 3, K)).astype(np.float32)
    tags, lengths = rng.integers(0, K, (5, 3)).astype(np.int32), np.array([5, 1, 3], np.int32)
    oracle = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2, reduction="none")
    each = np.array(oracle(np.eye(K, dtype=np.float32)[tags], logits))
    mask = np.arange(5)[:, None] < lengths
    found = float(sequence_loss(logits, tags, lengths, label_smoothing=0.2))
    assert found == pytest.approx(each[mask].sum(), rel=1e-5)
    assert found != pytest.approx(float(sequence_loss(logits, tags, lengths)), rel=1e-2)


def test_label_smoothing_changes_the_training_loss() -> None:
    plain, smooth = a_trainer(), a_trainer(label_smoothing=0.3)
    losses = [trainer.train_epoch(a_training_set().batches(0), 0).loss for trainer in (plain, smooth)]
    assert losses[0] != losses[1]


def test_the_learning_rate_of_each_epoch_equals_the_one_computed_by_hand() -> None:
    settings = TrainingConfig(learning_rate=0.1, decay=0.5, steps={3: 0.5, 5: 0.1})
    rates = [rate_of(settings, epoch) for epoch in range(6)]
    expected = [0.1, 0.1 / 1.5, 0.5 * 0.1 / 2, 0.5 * 0.1 / 2.5, 0.05 * 0.1 / 3, 0.05 * 0.1 / 3.5]
    assert rates == pytest.approx(expected)
    trainer = a_trainer(learning_rate=0.1, decay=0.0, steps={2: 0.01})
    for epoch, rate in ((0, 0.1), (1, 0.001)):
        trainer.train_epoch(a_training_set().batches(epoch), epoch)
        assert float(trainer.optimizer.learning_rate) == pytest.approx(rate)


def test_frozen_rows_stay_and_all_others_that_occur_change() -> None:
    frozen = np.arange(V) % 3 == 0
    trainer = a_trainer(frozen=frozen)
    before = trainer.network.weights_as_arrays()["embedding"]
    batches = list(a_training_set().batches(0))
    trainer.train_epoch(batches, 0)
    after = trainer.network.weights_as_arrays()["embedding"]
    seen = np.isin(np.arange(V), np.concatenate([batch.distinct_ids[1:] for batch in batches]))
    assert ((before != after).any(axis=1) == (seen & ~frozen)).all()
    assert (seen & frozen).sum() > 3
