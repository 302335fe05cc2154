from __future__ import annotations

import doctest
from typing import Any

from tagger.formats import tokens as tokens_module


def test_the_examples() -> None:
    found: Any = doctest.testmod(tokens_module)
    assert (found.failed, found.attempted > 1) == (0, True)
