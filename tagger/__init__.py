"""A command-line tagger for named entities and chunks that learns from CoNLL files and tags CoNLL files.

The interface for Python is `from tagger import Tagger`; see `tagger.api`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagger.api import Prediction, ScoredSpan, Tagger

__all__ = ["Prediction", "ScoredSpan", "Tagger", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported on first use, because `tagger --help` needs neither numpy nor ONNX Runtime.
    if name in __all__:
        from tagger import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
