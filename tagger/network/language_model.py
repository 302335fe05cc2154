"""A pair of language models over one embedding: the first block of a tagger, trained on text without labels.

The forward branch reads a text and predicts each next token; the backward branch reads the reversed text and predicts
each previous one. A text is cut into windows, and the state of a branch is carried from one window to the next, so
that a sentence of any length is read whole while gradients go back through one window only.

A boundary stands between two sentences. A tagger reads each sentence from a state of zeros, and so do the models: at a
boundary all gates are shut, which sets the state to zeros exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tagger.architecture import Direction, Merge, NetworkSpec
from tagger.inputs.encoder import Sizes
from tagger.network import Tensor
from tagger.network.bilstm import Kernel, TwoBranchLSTM, uniform_rows
from tagger.network.block_lstm import LSTMState, continued_block_lstm
from tagger.network.embedding import TokenRepresentation

BRANCHES = Direction.BOTH.branches
_MULTIPLE = 16
_SHUT = -1e4  # added to the gates i, f and o at a boundary; their sigmoid is then 0


class WindowTensors(NamedTuple):
    """One window of each stream, for both branches: T steps of B streams.

    Attributes:
        distinct_ids: [V'], the token ids that occur as input, target or sample, each once.
        id_rows: [D], the row in `distinct_ids` of each distinct form of the input. The first form is the boundary.
        casing, characters, character_lengths: [D], [N] and [D], the forms.
        inputs: [2, T, B], the row in `id_rows` of each input, of the forward and the backward branch.
        targets: [2, T, B], the row in `distinct_ids` of the token that follows in reading order.
        samples: [S], rows in `distinct_ids` of the distinct tokens among those that were drawn by their frequency.
        sample_counts: [S], how often each of them was drawn.
    """

    distinct_ids: Tensor
    id_rows: Tensor
    casing: Tensor
    characters: Tensor
    character_lengths: Tensor
    inputs: Tensor
    targets: Tensor
    samples: Tensor
    sample_counts: Tensor


_LIST, _STEPS = tf.TensorSpec([None], tf.int32), tf.TensorSpec([2, None, None], tf.int32)
# The arguments of a compiled function, in the order of `WindowTensors`.
WINDOW_SIGNATURE = (_LIST, _LIST, _LIST, _LIST, _LIST, _STEPS, _STEPS, _LIST, _LIST)


class LanguageModels(keras.Model):
    """The embedding, the character network, the casing and the first block of a tagger, with an output layer.

    The logit of a token is the product of its embedding with a projection of a branch's output, plus the logarithm of
    the token's frequency.

    Args:
        spec: the architecture of the tagger.
        sizes: the numbers of ids.
        resets: whether a boundary sets the states to zeros.
        seed: the seed of the initial weights.
    """

    def __init__(self, spec: NetworkSpec, sizes: Sizes, *, resets: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.spec, self.resets = spec, resets
        self.embedding = self.add_weight(
            name="embedding",
            shape=(sizes.n_tokens, spec.embedding_dim),
            initializer=uniform_rows(spec.embedding_dim, seed),
        )
        self.representation = TokenRepresentation(spec, sizes, kernel=Kernel.BLOCK, seed=seed + 50)
        self.block = TwoBranchLSTM(
            spec.units, direction=Direction.BOTH, merge=Merge.CONCAT, kernel=Kernel.BLOCK, seed=seed + 1, name="block_1"
        )
        for branch in self.block.branches.values():
            branch.build((None, None, self.representation.output_dim))
        # Columns of the input that mark a boundary: as many as make its size a multiple that products are fast for.
        self._n_columns = _MULTIPLE - self.representation.output_dim % _MULTIPLE
        self.block.built = True
        self.projections = {
            name: keras.layers.Dense(
                spec.embedding_dim,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 97 + i),
                name=f"projection.{name}",
            )
            for i, name in enumerate(BRANCHES)
        }
        for projection in self.projections.values():
            projection.build((None, spec.units))
        self.built = True

    def call(
        self, rows: Tensor, window: WindowTensors, states: list[LSTMState]
    ) -> tuple[list[Tensor], list[LSTMState]]:
        """Compute the projected output [T, B, E] of each branch, and the states of both after the window.

        Args:
            rows: [V', E], the embedding of the distinct ids.
            states: the states of the forward and the backward branch before the window.
        """
        table, inputs = self.representation(rows, window), window.inputs  # [D, E and more]
        if not self.representation.reads_forms:
            inputs = tf.gather(window.id_rows, inputs)  # the table has a row for each id; that of a boundary is 0 too
        if self.resets:
            is_boundary = tf.one_hot([0], tf.shape(table)[0], axis=0)  # [D, 1]
            table = tf.concat([table, tf.repeat(is_boundary, self._n_columns, axis=1)], axis=1)
        outputs, after = [], []
        for i, (name, branch) in enumerate(self.block.branches.items()):
            h, state = continued_block_lstm(table, inputs[i], *self._kernels(branch.cell), states[i])
            outputs.append(tf.tensordot(h, self.projections[name].kernel, 1) + self.projections[name].bias)
            after.append(state)
        return outputs, after

    def _kernels(self, cell: keras.Layer) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of a branch; if boundaries reset the state, the kernel has a row for them."""
        kernel, recurrent_kernel, bias = map(tf.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias))
        if self.resets:
            kernel = tf.concat([kernel, tf.fill([self._n_columns, kernel.shape[1]], _SHUT)], axis=0)
        return kernel, recurrent_kernel, bias

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return each weight by its name in `weights.safetensors`."""
        named = {"embedding": self.embedding, **self.representation.named_weights()}
        for direction, branch in self.block.branches.items():
            named |= branch.named_weights(f"{self.block.name}.{direction}")
        for name, projection in self.projections.items():
            named |= {f"projection.{name}.kernel": projection.kernel, f"projection.{name}.bias": projection.bias}
        return named


def sampled_loss(output: Tensor, rows: Tensor, targets: Tensor, samples: Tensor, sample_counts: Tensor) -> Tensor:
    """Return the losses [T, B] of a sampled softmax (Bengio & Senécal 2008), less the logarithms of frequencies.

    The probability of a token w is q(w)·exp(s(w)) / Z, with its frequency q and its product s with the output. Samples
    are drawn from q, so that the mean of exp(s) over them is an estimate of Z. The target itself counts as one more
    sample, which keeps the loss from falling without limit.

    Args:
        output: [T, B, E], the projected output of a branch.
        rows: [V', E], the embedding of the distinct ids.
        targets: [T, B], rows of the embedding.
        samples: [S], distinct rows of the embedding.
        sample_counts: [S], how often each of them was drawn.
    """
    flat = tf.reshape(output, [-1, output.shape[-1]])  # [T·B, E]
    of_target = tf.reduce_sum(flat * tf.gather(rows, tf.reshape(targets, [-1])), axis=1)
    counts = tf.cast(sample_counts, tf.float32)
    total = _log_sum_exp(of_target, flat, tf.gather(rows, samples), counts)
    losses = total - of_target - tf.math.log(1.0 + tf.reduce_sum(counts))
    return tf.reshape(losses, tf.shape(targets))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _log_sum_exp(of_target: Tensor, output: Tensor, rows: Tensor, counts: Tensor) -> tuple[Tensor, Any]:
    """Return the logarithm [N] of exp(`of_target`) [N] and the exponentials of all products of output and rows.

    TensorFlow's own gradient computes all exponentials again, and goes over them a second time to scale them.

    Args:
        output: [N, E].
        rows: [S, E].
        counts: [S], how often the exponentials of each row count.
    """
    products = tf.matmul(output, rows, transpose_b=True)  # [N, S]
    largest = tf.maximum(tf.reduce_max(products, axis=1), of_target)
    first, rest = tf.exp(of_target - largest), tf.exp(products - largest[:, None])
    total = first + tf.linalg.matvec(rest, counts)

    def gradient(upstream: Tensor) -> tuple[Tensor, ...]:
        factor = upstream / total
        of_output = factor[:, None] * tf.matmul(rest, counts[:, None] * rows)
        of_rows = counts[:, None] * tf.matmul(rest, factor[:, None] * output, transpose_a=True)
        return factor * first, of_output, of_rows, tf.zeros_like(counts)

    return tf.math.log(total) + largest, gradient
