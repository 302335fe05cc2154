"""The network and its training: the only folder that imports TensorFlow."""

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Tensor = Any  # TensorFlow ships no types


@contextmanager
def muted_stderr() -> "Iterator[None]":
    """Keep what TensorFlow's C++ side writes to standard error while it starts off the user's screen.

    It ignores TF_CPP_MIN_LOG_LEVEL there (tensorflow issue 100442). A user who sets that variable sees it all.
    """
    if _SHOW_ALL:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # closed: there is nothing to mute
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
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's ~/.keras/keras.json says

with muted_stderr():
    if not _SHOW_ALL:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # errors only; read once, during the import
    import tensorflow  # noqa: F401

if not _SHOW_ALL:
    del os.environ["TF_CPP_MIN_LOG_LEVEL"]
