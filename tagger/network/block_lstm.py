"""A whole LSTM in one operator of TensorFlow, `BlockLSTMV2`, and two ways to compute its gradient.

The operator's own gradient computes the weights' gradient step by step: it adds a product of two narrow matrices to
the whole of it at every step. That is fast as long as the weights fit into the cache of a core. `_looped` goes back
through the steps in a loop that computes the gradients of the gates alone, and takes the gradients of the weights and
the input as one product each over all steps. Its loop costs a dozen small operators a step.

All arrays have the time axis first. T steps, B sentences, D inputs, H units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tagger.network import Tensor


class _Steps(NamedTuple):
    """The results of the operator, each [T, B, H], under the names that TensorFlow gives them.

    They are the input gate, the cell, the forget gate, the output gate, the new input of the cell, the tanh of the
    cell, and the output.
    """

    i: Tensor
    cs: Tensor
    f: Tensor
    o: Tensor
    ci: Tensor
    co: Tensor
    h: Tensor


class LSTMState(NamedTuple):
    """The state of an LSTM between two steps: its cell and its output, each [B, H]."""

    cell: Tensor
    output: Tensor


def block_lstm(x: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> Tensor:
    """Run an LSTM from left to right, beginning with a state of zeros: x [T, B, D] → h [T, B, H].

    Args:
        kernel: [D, 4H], as Keras has it, with the gates in the order i f c o; so are the other weights.
        recurrent_kernel: [H, 4H].
        bias: [4H].
    """
    h: Tensor = _operator(None)(x, kernel, recurrent_kernel, bias)[0]
    return h


def continued_block_lstm(
    table: Tensor, rows: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, state: LSTMState
) -> tuple[Tensor, LSTMState]:
    """Run an LSTM over rows of a table from the state that it had before; return its output and its state after them.

    No gradient goes through the states: backpropagation through time is truncated there (Williams & Peng 1990).

    Args:
        table: [N, D].
        rows: [T, B], the row of each input. A row that occurs often costs less: gradients are added up before they
            are multiplied with the weights.
        kernel, recurrent_kernel, bias: those of `block_lstm`.
    """
    distinct, places = tf.unique(tf.reshape(rows, [-1]))
    operator = _operator(state, tf.reshape(places, tf.shape(rows)))
    h, cells = operator(tf.gather(table, distinct), kernel, recurrent_kernel, bias)
    return h, LSTMState(tf.stop_gradient(cells[-1]), tf.stop_gradient(h[-1]))


def _operator(state: LSTMState | None, rows: Tensor | None = None) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the function from the arguments of `block_lstm` to the output and the cells of all steps, [T, B, H] each.

    Its gradient is defined here, because the one that TensorFlow 2.21 registers for the operator
    (python/ops/rnn_grad.py) is wrong: it belongs to version 1, whose gates have another order. The cells have no
    gradient.

    Args:
        state: the state before the first step; None for zeros.
        rows: [T, B], the row of a table [N, D] that is the input at each place. The function then takes the table
            instead of x.
    """

    def run(table: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> tuple[tuple[Tensor, Tensor], Any]:
        x = table if rows is None else tf.gather(table, rows)
        units = recurrent_kernel.shape[0]
        zeros = tf.zeros([tf.shape(x)[1], units], x.dtype)
        no_peephole = tf.zeros([units], x.dtype)
        shared = {
            "seq_len_max": tf.cast(tf.shape(x)[0], tf.int64),
            "x": x,
            "cs_prev": zeros if state is None else state.cell,
            "h_prev": zeros if state is None else state.output,
            "w": tf.concat([kernel, recurrent_kernel], axis=0),
            "wci": no_peephole,
            "wcf": no_peephole,
            "wco": no_peephole,
            "b": bias,
            "use_peephole": False,
        }
        steps = _Steps(*tf.raw_ops.BlockLSTMV2(cell_clip=0.0, **shared))

        def gradient(h_gradient: Tensor, _: Tensor) -> tuple[Tensor, ...]:
            def fused() -> tuple[Tensor, ...]:
                found = tf.raw_ops.BlockLSTMGradV2(
                    **steps._asdict(), cs_grad=tf.zeros_like(steps.cs), h_grad=h_gradient, **shared
                )
                of_table = _by_row(found.x_grad, rows, table)
                return of_table, *tf.split(found.w_grad, [kernel.shape[0], units]), found.b_grad

            def looped() -> tuple[Tensor, ...]:
                return _looped(table, rows, kernel, recurrent_kernel, steps, h_gradient, state)

            with tf.name_scope("lstm"):
                most = _most_sentences_of_loop(kernel.shape[0], units)
                if most is None or most < 1:
                    return looped() if most is None else fused()
                found: tuple[Tensor, ...] = tf.cond(tf.shape(x)[1] <= most, looped, fused)
            return found

        return (steps.h, steps.cs), gradient

    operator: Callable[..., tuple[Tensor, Tensor]] = tf.custom_gradient(run)
    return operator


def _most_sentences_of_loop(n_inputs: int, units: int) -> int | None:
    """Return the largest batch for which the loop is the faster gradient; None if it is for all.

    The rule was measured: see docs/decisions/0010-training-kernel.md.
    """
    if units % 128 == 0:  # the rows of the operator's products then compete for the same lines of the cache
        return None
    return (n_inputs + units - 8000 // units) // 7


def _by_row(array: Tensor, rows: Tensor | None, table: Tensor) -> Tensor:
    """Return [N, X]: for each row of a table [N, D], the sum of an array [T, B, X] over the places of the row."""
    if rows is None:
        return array
    return tf.math.unsorted_segment_sum(array, rows, tf.shape(table)[0])


def _looped(
    table: Tensor,
    rows: Tensor | None,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    steps: _Steps,
    h_gradient: Tensor,
    state: LSTMState | None,
) -> tuple[Tensor, ...]:
    """Return the gradients of the table, of both kernels and of the bias.

    Args:
        table: [N, D]; without rows, it is x, [T, B, D].
        rows: [T, B], the row of the table that is the input at each place.
        state: the state before the first step; None for zeros.
    """
    n_steps, n_sentences = tf.shape(h_gradient)[0], tf.shape(h_gradient)[1]
    n_inputs, units = kernel.shape[0], recurrent_kernel.shape[0]
    i, cs, f, o, ci, co, h = steps
    zeros = tf.zeros([n_sentences, units], table.dtype)
    cs_before = tf.concat([zeros[None] if state is None else state.cell[None], cs[:-1]], 0)
    # All that does not depend on later steps is computed here, for all steps at once: the factors of the gradients.
    of_cell = o * (1 - co * co)
    of_gates = (ci * i * (1 - i), cs_before * f * (1 - f), i * (1 - ci * ci), co * o * (1 - o))
    transposed = tf.transpose(recurrent_kernel)

    def step(t: Tensor, dh: Tensor, dc: Tensor, gates: Any) -> tuple[Tensor, Tensor, Tensor, Any]:
        dh += h_gradient[t]  # a step of an array is not copied
        dc += dh * of_cell[t]
        to_i, to_f, to_ci, to_o = (factor[t] for factor in of_gates)
        gate = tf.concat([dc * to_i, dc * to_f, dc * to_ci, dh * to_o], 1)
        return t - 1, tf.matmul(gate, transposed), dc * f[t], gates.write(t, gate)

    written = tf.TensorArray(table.dtype, n_steps, element_shape=[None, 4 * units])
    *_, written = tf.while_loop(lambda t, *_: t >= 0, step, (n_steps - 1, zeros, zeros, written), parallel_iterations=1)
    by_step = written.stack()
    of_inputs = tf.reshape(_by_row(by_step, rows, table), [-1, 4 * units])
    table_gradient = tf.reshape(tf.matmul(of_inputs, kernel, transpose_b=True), tf.shape(table))
    kernel_gradient = tf.matmul(tf.reshape(table, [-1, n_inputs]), of_inputs, transpose_a=True)
    before, after = tf.reshape(h[:-1], [-1, units]), tf.reshape(by_step[1:], [-1, 4 * units])
    recurrent_gradient = tf.matmul(before, after, transpose_a=True)
    if state is not None:
        recurrent_gradient += tf.matmul(state.output, by_step[0], transpose_a=True)
    return table_gradient, kernel_gradient, recurrent_gradient, tf.reduce_sum(of_inputs, 0)
