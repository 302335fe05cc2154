"""The options of commands that read raw text, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.convert import parse_named_columns
from tagger.cli.options import layout_options, require_corpus

if TYPE_CHECKING:
    from tagger.formats.raw_sentences import RawSettings

_TEXT = "text"


def raw_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how RAW is read; `raw_settings` interprets them."""
    command = layout_options(command)
    for option in reversed((
        click.option("--lines", is_flag=True, help="Each line of raw text is a text of its own, such as a tweet."),
        click.option("--tokenized", is_flag=True, help="Each line of raw text is a sentence of tokens between blanks."),
        click.option(
            "--from", "read_as", metavar="FORMAT", help="Format of RAW. Default: guessed from its name and content."
        ),
        click.option("--language", metavar="LANGUAGE", help="Language of texts that are cut into tokens. Default: en."),
    )):  # fmt: skip
        command = option(command)
    return command


def raw_settings(
    raw: tuple[str, ...],
    *,
    lines: bool,
    tokenized: bool,
    read_as: str | None,
    language: str | None,
    columns: str | None,
    delimiter: str | None,
    encoding: str | None,
) -> RawSettings:
    """Return how to read RAW.

    Raises:
        DataError: a model or a config stands where a corpus belongs.
        click.UsageError: options contradict each other.
    """
    from tagger.formats.document import ReadOptions
    from tagger.formats.raw_sentences import RawSettings

    if raw.count("-") > 1:
        raise click.UsageError("RAW: found - (standard input) twice, expected it once; delete one")
    for path in raw:
        require_corpus(path, model="name raw text", config="name raw text", argument="RAW")
    if tokenized and read_as not in (None, _TEXT):
        raise click.UsageError(
            f"--tokenized: found it with --from {read_as}, expected raw text: other formats have tokens; delete one"
            " of the two"
        )
    if tokenized and (lines or language is not None):
        other = "--lines" if lines else "--language"
        raise click.UsageError(f"--tokenized: found it with {other}, expected one of the two; delete the other")
    read: dict[str, Any] = {"columns": parse_named_columns(columns)} if columns is not None else {}
    given = {"delimiter": delimiter, "encoding": encoding}
    read |= {name: value for name, value in given.items() if value is not None}
    return RawSettings(
        source=_TEXT if tokenized else read_as,
        read=ReadOptions(**read),
        language=language,
        lines=lines,
        tokenized=tokenized,
    )
