"""A command or an option that does not exist is answered with the one that was probably meant."""

from __future__ import annotations

import pytest
from helpers import run_tagger


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predic", "x"], "tagger predic: no such command; did you mean predict?"),
        (["pre"], "tagger pre: no such command; did you mean pretrain or predict?"),
        (["trian"], "tagger trian: no such command; did you mean train?"),
        (["xyzzy"], "tagger xyzzy: no such command; tagger --help lists them"),
        (["config", "shw", "x"], "tagger config shw: no such command; did you mean show?"),
        (["config", "--schem"], "tagger config --schem: no such option; did you mean --schema?"),
        (["predict", "--tread", "3"], "tagger predict --tread: no such option; did you mean --threads?"),
        (["predict", "--lin"], "tagger predict --lin: no such option; did you mean --line-buffered?"),
        (["predict", "--zzz=3"], "tagger predict --zzz: no such option; tagger predict --help lists them"),
        (["predict", "-z"], "tagger predict -z: no such option; tagger predict --help lists them"),
        (["train", "--se"], "tagger train --se: no such option; did you mean --set or --seeds?"),
        (["train", "x", "--no-keep-previus"], "tagger train --no-keep-previus: no such option; did you mean --no-keep-previous?"),
        (["--versio"], "tagger --versio: no such option; did you mean --version?"),
        (["--verbose", "train"], "tagger --verbose: no such option; tagger --help lists them"),
        (["\x1b[31m"], "tagger '\\x1b[31m': no such command; tagger --help lists them"),
        ([""], "tagger '': no such command; tagger --help lists them"),
    ],
)  # fmt: skip
def test_what_was_meant_is_suggested(arguments: list[str], message: str) -> None:
    result = run_tagger(*arguments)
    assert (result.exit_code, result.output) == (2, b"")
    assert result.first_error == f"error: {message}"
