"""The network: one shared embedding, blocks of two LSTM branches, and a time-distributed softmax."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.architecture import NetworkSpec
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.errors import ModelError
from tagger.inputs.batching import make_batch
from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import Encoder, Sizes
from tagger.inputs.vocabulary import Ids, TagVocabulary
from tagger.model_dir.files import ModelFiles
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import read_weights
from tagger.network import Tensor
from tagger.network.bilstm import (
    DropRecurrent,
    Kernel,
    TwoBranchLSTM,
    dropout_mask,
    look_up_both,
    reversal,
    reverse_by_length,
    uniform_rows,
)
from tagger.network.crf import CRF
from tagger.network.devices import device_errors_explained
from tagger.network.embedding import TokenRepresentation
from tagger.network.graphs import compiled
from tagger.network.losses import TargetLoss
from tagger.network.packing import PACKED_SIGNATURE, BatchTensors, join, pack, unpack
from tagger.prediction.decoding import Logits

# Numbers that are added to the dropout seed of a step, so that each mask is different. The masks of the input and the
# blocks have the numbers 0, 1, and so on.
_TOKEN_PLACE, _RECURRENT_PLACE = 255, 128


class TwoBranchTagger(keras.Model):
    """The network from token ids and their reversed copies to logits over tags.

    Each block except the first reverses its own input by length for its backward branch. Dropout of inputs and blocks
    is constant over time. `token_dropout` drops parts of the representation of each distinct token, the same parts
    wherever the token occurs in a batch. `recurrent_dropout` drops recurrent weights, the same weights for all
    sentences and steps of a batch.

    Args:
        spec: the architecture.
        sizes: the number of ids of tokens, tags, characters and features.
        rules: the transitions that a CRF may learn; None for all.
        kernel: the implementation that computes the branches.
        seed: the seed of the initial weights.
        mixed_precision: compute the blocks in float16; weights, softmax and loss stay in float32.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        sizes: Sizes,
        *,
        rules: Transitions | None = None,
        kernel: Kernel = Kernel.PLAIN,
        seed: int = 0,
        mixed_precision: bool = False,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.mixed_precision = mixed_precision
        policy = keras.DTypePolicy("mixed_float16" if mixed_precision else "float32")
        self._block_dtype = tf.as_dtype(policy.compute_dtype)
        self.embedding = self.add_weight(
            name="embedding",
            shape=(sizes.n_tokens, spec.embedding_dim),
            initializer=uniform_rows(spec.embedding_dim, seed),
        )
        character_kernel = Kernel.PLAIN if kernel is Kernel.CUDNN else kernel
        self.representation = TokenRepresentation(spec, sizes, kernel=character_kernel, seed=seed + 50)
        self.blocks = [
            TwoBranchLSTM(
                spec.units,
                direction=spec.direction,
                merge=spec.merge,
                kernel=kernel,
                seed=seed + 1 + 4 * i,
                name=f"block_{i + 1}",
                dtype=policy,
            )
            for i in range(spec.layers)
        ]
        glorot = keras.initializers.GlorotUniform(seed=seed + 97)
        self.softmax = keras.layers.Dense(sizes.n_tags, kernel_initializer=glorot, dtype="float32")
        self.crf = CRF(rules, sizes.n_tags, name="crf") if spec.has_crf else None
        self._build()

    def _build(self) -> None:
        size = self.representation.output_dim
        for block in self.blocks:
            for branch in block.branches.values():
                branch.build((None, None, size))
            block.built = True
            size = block.output_dim
        self.softmax.build((None, None, size))
        self.built = True

    def look_up(self, distinct_ids: Tensor) -> Tensor:
        """Look up the word embedding of a batch's distinct ids: [V'] → [V', E]."""
        # The cost of a gather from the variable itself does not depend on the size of the vocabulary.
        return tf.gather(self.embedding.value, distinct_ids)

    def call(self, rows: Tensor, batch: BatchTensors, *, training: bool = False) -> Tensor:
        """Compute the logits [T, B, K] of a batch.

        Args:
            rows: [V', E], the result of `look_up` for the distinct ids of the batch.
            training: whether to apply dropout; the dropout seed of the batch decides what is dropped.
        """
        seed = batch.dropout_seed if training else None
        table = self.representation(rows, batch)  # [D, E and more]
        table = _masked(table, self._mask(tf.shape(table), self.spec.token_dropout, seed, _TOKEN_PLACE))
        order = reversal(batch.lengths, tf.shape(batch.token_rows)[0])  # [T, B]
        x, reversed_x = look_up_both(table, batch.token_rows, batch.reversed_rows, order)  # [T, B, E and more]
        x, reversed_x = tf.cast(x, self._block_dtype), tf.cast(reversed_x, self._block_dtype)
        # Both branches share one mask, because reversing a sentence must not change what is dropped.
        mask = self._mask(tf.shape(x)[1:], self.spec.input_dropout, seed, 0)
        x, reversed_x = _masked(x, mask), _masked(reversed_x, mask)
        n_sentences = tf.shape(batch.lengths)[0]
        masks = [
            self._mask(tf.stack([n_sentences, block.output_dim]), self.spec.dropout, seed, i)
            for i, block in enumerate(self.blocks, start=1)
        ]
        drops = [self._drop_recurrent(seed, i) for i in range(1, 1 + len(self.blocks))]
        for block, mask, drop in zip(self.blocks[:-1], masks, drops, strict=False):
            x = _masked(block(x, reversed_x, order, drop=drop), mask)  # [T, B, H or 2H]
            reversed_x = reverse_by_length(x, order)
        return self.blocks[-1].project(x, reversed_x, order, self.softmax, masks[-1], drops[-1])

    def training_loss(
        self, rows: Tensor, batch: BatchTensors, *, label_smoothing: float = 0.0, loss: TargetLoss | None = None
    ) -> Tensor:
        """Return the loss that training minimizes, summed over the tokens of the batch.

        The arguments are those of `call` and `sequence_loss`.

        Args:
            loss: the loss if tokens have weights or are annotated in part.
        """
        logits = self(rows, batch, training=True)
        if loss is not None:
            return loss(logits, batch.tag_ids, batch.lengths, crf=self.crf, label_smoothing=label_smoothing)
        if self.crf is not None:
            return -tf.reduce_sum(self.crf.log_likelihood(logits, batch.tag_ids, batch.lengths))
        return sequence_loss(logits, batch.tag_ids, batch.lengths, label_smoothing=label_smoothing)

    def _mask(self, shape: Tensor, rate: float, seed: Tensor | None, place: int) -> Tensor | None:
        """Return the dropout mask of one place; None if nothing is dropped there.

        The places are the token representation, the input of the first block (place 0) and the output of each block.
        """
        if seed is None or not rate:
            return None
        return dropout_mask(shape, rate, seed + tf.constant([0, place], tf.int32))

    def _drop_recurrent(self, seed: Tensor | None, block: int) -> DropRecurrent | None:
        """Return the function that drops recurrent weights of a block; None if none are dropped."""
        if seed is None or not self.spec.recurrent_dropout:
            return None
        rate = self.spec.recurrent_dropout

        def drop(kernel: Tensor, branch: int) -> Tensor:
            place = _RECURRENT_PLACE + 2 * block + branch
            return kernel * dropout_mask(tf.shape(kernel), rate, seed + tf.constant([0, place], tf.int32))

        return drop

    def set_embedding_rows(self, blocks: Iterable[tuple[npt.NDArray[np.integer], npt.NDArray[np.float32]]]) -> None:
        """Set rows of the word embedding, on each replica of this process, without a second copy of it.

        Args:
            blocks: ids [n] and their rows [n, E].
        """
        copies = tf.distribute.get_strategy().experimental_local_results(self.embedding.value)
        for ids, rows in blocks:
            for copy in copies:
                with tf.device(copy.device):
                    tf.raw_ops.ResourceScatterUpdate(resource=copy.handle, indices=ids, updates=rows)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return each weight by its name in `weights.safetensors`."""
        named = {"embedding": self.embedding, **self.representation.named_weights()}
        for block in self.blocks:
            for direction, branch in block.branches.items():
                named |= branch.named_weights(f"{block.name}.{direction}")
        named["softmax.kernel"], named["softmax.bias"] = self.softmax.kernel, self.softmax.bias
        if self.crf is not None:
            crf = self.crf
            named |= {"crf.transition": crf.transition, "crf.start": crf.start, "crf.end": crf.end}
        return named

    def transitions(self) -> Transitions | None:
        """Return the transition weights that the CRF has learned so far; None without a CRF."""
        if self.crf is None:
            return None
        transition, start, end = (weight.numpy().astype(np.float64) for weight in self.crf.transition_weights())
        return Transitions(transition, start, end, learned=True)

    def weights_as_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return a copy of all weights."""
        return {name: weight.numpy().copy() for name, weight in self.named_weights().items()}

    def assign_weights(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Set all weights.

        Raises:
            ModelError: a name or a shape does not fit this network.
        """
        named = self.named_weights()
        wrong = sorted(set(named) ^ set(arrays)) or [
            name for name, weight in named.items() if tuple(weight.shape) != arrays[name].shape
        ]
        if wrong:
            raise ModelError(
                f"weights.safetensors: {wrong[0]} does not fit the network that manifest.json describes; train again"
            )
        for name, weight in named.items():
            weight.assign(arrays[name])


def build_network(
    manifest: Manifest, encoder: Encoder, tags: TagVocabulary, *, kernel: Kernel, mixed_precision: bool = False
) -> TwoBranchTagger:
    """Build the network that a manifest describes, with its initial weights."""
    spec = manifest.network
    return TwoBranchTagger(
        spec,
        encoder.sizes(len(tags)),
        rules=constraints_of(tags.tags, manifest.scheme) if spec.has_crf else None,
        kernel=kernel,
        seed=manifest.seed,
        mixed_precision=mixed_precision,
    )


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * tf.cast(mask, x.dtype)


def sequence_loss(logits: Tensor, tag_ids: Tensor, lengths: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy, summed over real tokens only.

    Args:
        logits: [T, B, K].
        tag_ids: [T, B].
        lengths: [B].
        label_smoothing: the share of the gold probability that is spread over all tags (Szegedy et al. 2016).
    """
    mask = tf.range(tf.shape(tag_ids)[0])[:, None] < lengths  # [T, B]
    n_tags = logits.shape[-1]
    gold = tf.one_hot(
        tag_ids,
        n_tags,
        on_value=1.0 - label_smoothing + label_smoothing / n_tags,
        off_value=label_smoothing / n_tags,
    )
    # The tags are one-hot, because the sparse loss takes three times as many operators under op determinism.
    losses = tf.nn.softmax_cross_entropy_with_logits(gold, tf.cast(logits, tf.float32))
    # `tf.where` instead of a product, because no value at padding, not even NaN, may reach the sum.
    return tf.reduce_sum(tf.where(mask, losses, 0.0))


class NetworkLogits:
    """A function that computes logits with a network, without dropout; it has the type `predictor.ComputeLogits`.

    Args:
        device: TensorFlow's name of the device to compute on; None leaves the choice to TensorFlow.
    """

    def __init__(self, network: TwoBranchTagger, *, device: str | None = None) -> None:
        self._network, self._device = network, device

    @functools.cached_property
    def _compiled(self) -> Any:
        def logits(packed: Any, starts: Any) -> Any:
            batch = unpack(packed, starts, 0)
            with tf.device(self._device):
                return self._network(self._network.look_up(batch.distinct_ids), batch)

        return compiled(logits, PACKED_SIGNATURE)

    @property
    def transitions(self) -> Transitions | None:
        """The transition weights that the network's CRF has learned so far; None without a CRF."""
        return self._network.transitions()

    def __call__(self, sentences: Sequence[Ids], forms: WordForms | None = None) -> Logits:
        """Compute the logits [B, T, K] of encoded sentences, each of at least one token."""
        packed = pack(make_batch(sentences, forms=forms))
        with device_errors_explained():
            return np.asarray(self._compiled(*join([packed])), np.float32).swapaxes(0, 1)


def open_network_logits(files: ModelFiles, manifest: Manifest, encoder: Encoder, tags: TagVocabulary) -> NetworkLogits:
    """Open the network of a model directory in TensorFlow; for `load_model`.

    Raises:
        ModelError: a file has been altered, or the weights do not fit the manifest.
    """
    weights = read_weights(files, manifest, encoder, tags)
    with device_errors_explained():
        built = build_network(manifest, encoder, tags, kernel=Kernel.BLOCK)
        built.assign_weights(weights)
    return NetworkLogits(built)
