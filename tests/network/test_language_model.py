"""Check the language models against the block of a tagger on single sentences, and their losses against numpy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.architecture import NetworkSpec  # noqa: E402
from tagger.inputs.batching import make_batch  # noqa: E402
from tagger.inputs.vocabulary import N_RESERVED, Normalization  # noqa: E402
from tagger.network.bilstm import reversal  # noqa: E402
from tagger.network.block_lstm import LSTMState  # noqa: E402
from tagger.network.language_model import LanguageModels, WindowTensors, sampled_loss  # noqa: E402
from tagger.network.language_model_trainer import LanguageModelTrainer  # noqa: E402
from tagger.pretraining.streams import Streams  # noqa: E402
from tagger.pretraining.text_file import TextFile  # noqa: E402
from tagger.pretraining.windows import TextVocabulary, Windows, build_text_vocabulary  # noqa: E402

pytestmark = pytest.mark.tensorflow

SPEC = NetworkSpec(embedding_dim=4, characters="cnn", character_dim=3, character_units=5, casing=True, units=6)
WORDS_ONLY = NetworkSpec(embedding_dim=4, characters="none", casing=False, units=6)
SENTENCES = ["Ann saw Bob", "she ran", "the old man saw the very old sea again", "Bob ran to the sea", "Ann", "he saw"]


def text_of(sentences: list[str]) -> TextFile:
    forms = tuple(dict.fromkeys(token for sentence in sentences for token in sentence.split()))
    numbers = np.array(
        [n for s in sentences for n in [*(N_RESERVED + forms.index(token) for token in s.split()), 0]], np.uint32
    )
    return TextFile(numbers, forms, np.bincount(numbers, minlength=N_RESERVED + len(forms)), {})


def models_of(
    text: TextFile, spec: NetworkSpec = SPEC, *, resets: bool = True, min_count: int = 1
) -> tuple[LanguageModels, TextVocabulary]:
    vocabulary = build_text_vocabulary(text, spec, Normalization(lowercase=True), min_count=min_count, max_size=None)
    models = LanguageModels(spec, vocabulary.sizes, resets=resets, seed=1)
    rng = np.random.default_rng(2)
    for weight in models.trainable_variables:
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return models, vocabulary


@pytest.mark.parametrize("min_count", [1, 2, 99])  # with the last, every token is unknown
@pytest.mark.parametrize("spec", [SPEC, WORDS_ONLY], ids=["all", "words only"])
def test_each_sentence_is_read_as_the_first_block_of_a_tagger_reads_it(spec: NetworkSpec, min_count: int) -> None:
    text = text_of(SENTENCES)
    models, vocabulary = models_of(text, spec, min_count=min_count)
    windows = Windows(vocabulary, Streams(text.numbers, 1, 3, 1), 3)  # sentences go on over windows
    states = [LSTMState(tf.zeros([1, 6]), tf.zeros([1, 6]))] * 2
    found: list[list[np.ndarray]] = [[], []]
    for i in range(len(windows)):
        window = WindowTensors(*map(tf.constant, windows.window(0, i)))
        outputs, states = models(tf.gather(models.embedding.value, window.distinct_ids), window, states)
        for branch, output in enumerate(outputs):
            found[branch] += list(output.numpy()[:, 0])
    n = len(windows) * 3
    assert n == len(text.numbers) - 1  # the backward branch begins at the last boundary
    # The oracle: each sentence alone, from a state of zeros, with the layer that a tagger uses.
    encoded = vocabulary.encoder.encode([[sentence.split()] for sentence in SENTENCES])
    expected: list[list[np.ndarray | None]] = [[], []]
    for rows in encoded.sentences:
        batch = make_batch([rows], forms=encoded.forms)
        table, forms, nothing = (
            tf.gather(models.embedding.value, batch.distinct_ids),
            batch.forms,
            np.zeros(0, np.int32),
        )
        if spec is SPEC:
            arrays = batch.distinct_ids, batch.id_rows, forms.casing, forms.characters, forms.lengths
            table = models.representation(table, WindowTensors(*map(tf.constant, (*arrays, *[nothing] * 4))))
        x, y = (tf.gather(table, rows.T) for rows in (batch.token_rows, batch.reversed_rows))
        h = models.block(x, y, reversal(tf.constant(batch.lengths), x.shape[0])).numpy()[:, 0]
        for branch, (name, part) in enumerate(zip(("forward", "backward"), np.split(h, 2, axis=1), strict=True)):
            projection = models.projections[name]
            expected[branch] += [*(part @ projection.kernel.numpy() + projection.bias.numpy()), None]
    checked = 0
    for ours, theirs in ((found[0], expected[0][:n]), (found[1], expected[1][:0:-1])):
        assert len(ours) == len(theirs)
        for got, want in zip(ours, theirs, strict=True):
            if want is not None:
                np.testing.assert_allclose(got, want, atol=1e-5)
                checked += 1
    assert checked > n


def test_without_resets_the_state_goes_over_a_boundary() -> None:
    text = text_of(SENTENCES)
    outputs = []
    for resets in (True, False):
        models, vocabulary = models_of(text, resets=resets)
        window = WindowTensors(*map(tf.constant, Windows(vocabulary, Streams(text.numbers, 1, 20, 1), 3).window(0, 0)))
        states = [LSTMState(tf.zeros([1, 6]), tf.zeros([1, 6]))] * 2
        found, _ = models(tf.gather(models.embedding.value, window.distinct_ids), window, states)
        outputs.append(found[0].numpy()[:, 0])
    np.testing.assert_allclose(outputs[0][:3], outputs[1][:3], atol=1e-6)
    assert np.abs(outputs[0][4] - outputs[1][4]).max() > 1e-3


def test_the_sampled_loss_and_its_gradient_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    output, rows = tf.constant(rng.normal(size=(3, 2, 4)), tf.float32), tf.constant(rng.normal(size=(9, 4)), tf.float32)
    targets, samples, counts = rng.integers(0, 9, (3, 2)), np.array([7, 2, 3]), np.array([1, 3, 1])
    with tf.GradientTape() as tape:
        tape.watch([output, rows])
        losses = sampled_loss(output, rows, tf.constant(targets), tf.constant(samples), tf.constant(counts))
        total = tf.reduce_sum(losses * tf.constant([[1.0, 2.0]] * 3))
    gradients = tape.gradient(total, [output, rows])
    with tf.GradientTape() as tape:
        tape.watch([output, rows])
        scores = tf.einsum("tbe,ve->tbv", output, rows)
        chosen = tf.gather(scores, targets[..., None], batch_dims=2)
        every = tf.concat([chosen, tf.gather(scores, np.repeat(samples, counts), axis=2)], 2)
        expected = tf.reduce_logsumexp(every, 2) - tf.math.log(6.0) - chosen[..., 0]
        total = tf.reduce_sum(expected * tf.constant([[1.0, 2.0]] * 3))
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients, tape.gradient(total, [output, rows]), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(ours), tf.convert_to_tensor(theirs), rtol=1e-4, atol=1e-5)


def test_many_samples_estimate_the_exact_loss_that_perplexity_is_computed_from() -> None:
    text = text_of(SENTENCES * 3)
    models, vocabulary = models_of(text)
    trainer = LanguageModelTrainer(models, vocabulary.frequencies, 1)
    window = Windows(vocabulary, Streams(text.numbers, 1, 40, 1), 200_000).window(0, 0)
    exact = trainer.perplexities([window])
    # The oracle of the exact loss, in numpy.
    tensors = WindowTensors(*map(tf.constant, window))
    states = [LSTMState(tf.zeros([1, 6]), tf.zeros([1, 6]))] * 2
    outputs, _ = models(tf.gather(models.embedding.value, tensors.distinct_ids), tensors, states)
    means = []
    for i, output in enumerate(outputs):
        logits = output.numpy()[:, 0] @ models.embedding.numpy().T + np.log(vocabulary.frequencies)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        gold = window.distinct_ids[window.targets[i, :, 0]]
        losses = -np.log(shares[np.arange(40), gold])
        means.append(losses[window.inputs[i, :, 0] > 0].mean())
    np.testing.assert_allclose(np.log(exact), means, rtol=1e-4)
    n = (window.inputs > 0).sum((1, 2))
    np.testing.assert_allclose(trainer.train_step(window, 0.0).loss, (means * n).sum() / n.sum(), rtol=0.02)


def test_training_lowers_the_perplexity() -> None:
    text = text_of(SENTENCES * 20)
    models, vocabulary = models_of(text)
    trainer = LanguageModelTrainer(models, vocabulary.frequencies, 2)
    windows = Windows(vocabulary, Streams(text.numbers, 2, 16, 1), 30)
    before = trainer.perplexities([windows.window(0, 0)])
    for epoch in range(6):
        trainer.reset_states()
        for window in windows.from_step(epoch, 0):
            trainer.train_step(window, 0.02)
    after = trainer.perplexities([windows.window(0, 0)])
    assert max(after) < 6 < min(before)
