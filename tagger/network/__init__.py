"""The network and its training. This is the only package that imports TensorFlow."""

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tagger.stand_ins import standing_in

if TYPE_CHECKING:
    from collections.abc import Iterator

Tensor = Any  # TensorFlow ships no type information


@contextmanager
def muted_stderr() -> "Iterator[None]":
    """Discard what TensorFlow's C++ code writes to standard error while it starts.

    That code ignores TF_CPP_MIN_LOG_LEVEL during the start (tensorflow issue 100442). If the user has set the variable,
    nothing is discarded.
    """
    if _SHOW_ALL:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed, so there is nothing to mute
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


_SHOW_ALL = "TF_CPP_MIN_LOG_LEVEL" in os.environ
os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides the user's ~/.keras/keras.json

# Keras imports these two where they are installed, for wrappers and adapters that nobody uses here. They take a quarter
# of the time that the import of TensorFlow takes.
with muted_stderr(), standing_in({"sklearn": None, "pandas": None}):
    if not _SHOW_ALL:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # errors only; TensorFlow reads it once, during the import
    import tensorflow  # noqa: F401

if not _SHOW_ALL:
    del os.environ["TF_CPP_MIN_LOG_LEVEL"]
