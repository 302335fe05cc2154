"""Functions that TensorFlow compiles to graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops


def compiled(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Any:
    """Return a function as a graph, which is built at once and does not stay in memory longer than the result.

    `tf.custom_gradient` registers each of its uses in a graph under a name of its own, for good, and what it registers
    refers to the whole graph. A process that trains several times would keep 25 MB each time, and garbage collection
    would take ever longer. The names are looked up while gradients are built, and that is over when the graph is there.
    """
    # TensorFlow has no public function that removes a name; without this attribute, there is nothing to remove.
    registered: dict[str, Any] = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    before = set(registered)
    # The concrete function is called directly, because finding it by its signature costs half a millisecond a call.
    graph = tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
    for name in registered.keys() - before:
        del registered[name]
    return graph
