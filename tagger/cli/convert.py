"""The command `tagger convert`."""

from __future__ import annotations

from typing import Any

import click

from tagger.cli import console
from tagger.cli.options import layout_options, require_corpus, with_own_options
from tagger.corpus.schemes import SCHEME_NAMES, SCHEMES
from tagger.errors import DataError

_OFFSETS = click.Choice(["characters", "utf-16", "bytes"])


@click.command()
@click.argument("in", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--from", "read_as", metavar="FORMAT", help="Format of IN. Default: guessed from its name and content.")
@click.option("--to", "write_as", metavar="FORMAT", help="Format of OUT. Default: guessed from its name.")
@click.option(
    "--align",
    type=click.Choice(["error", "expand", "contract", "split", "drop"]),
    help="What to do with spans that do not begin and end with tokens. Default: error, where OUT has tags.",
)
@click.option(
    "--overlap",
    type=click.Choice(["error", "longest", "first", "outer", "inner"]),
    help="Which of overlapping spans to keep. Default: error, where OUT has tags.",
)
@click.option("--type", "types", metavar="TYPE,...", help="Keep only spans of these types.")
@click.option(
    "--offsets", type=_OFFSETS, help="Unit in which IN counts; bytes are those of UTF-8. Default: characters."
)
@click.option(
    "--to-offsets", type=_OFFSETS, help="Unit in which OUT counts; bytes are those of UTF-8. Default: characters."
)
@click.option(
    "--fields",
    type=click.Choice(["doccano", "prodigy", "hf"]),
    help="Field names of JSON lines. Default: tagger's own.",
)
@click.option("--names", metavar="NAME,...", help="Names of the tags, if IN numbers them from 0, or a file of names.")
@click.option("--scheme", type=click.Choice(list(SCHEMES)), help="Scheme of the tags in OUT. Default: IOB2.")
@click.option(
    "--from-scheme", type=click.Choice(["auto", *SCHEME_NAMES]), help="Scheme of the tags in IN. Default: auto."
)
@click.option("--language", metavar="LANGUAGE", help="Language of texts that are cut into tokens. Default: en.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@layout_options
def convert(
    out: str,
    read_as: str | None,
    write_as: str | None,
    types: str | None,
    names: str | None,
    columns: str | None,
    force: bool,
    **options: Any,
) -> None:
    """Convert a corpus from one format to another.

    IN and OUT are files or folders; - is standard input or output, if the format allows that. OUT is written as a
    whole or not at all. The formats are in docs/file-format.md.
    """
    from tagger.formats.convert import Settings
    from tagger.formats.convert import convert as convert_file
    from tagger.formats.document import ReadOptions, WriteOptions
    from tagger.formats.tokenizing import tokenizing

    source = options.pop("in")  # a keyword of Python
    require_corpus(source, model="name the corpus itself", config="name the corpus itself", argument="IN")
    if not out:
        raise DataError("OUT: found an empty name, expected a file or a folder; name it")
    given = {name: value for name, value in options.items() if value is not None}
    read: dict[str, Any] = {name: given[name] for name in ("encoding", "delimiter", "offsets") if name in given}
    if "from_scheme" in given:
        read["scheme"] = given["from_scheme"]
    if columns is not None:
        read["columns"] = parse_named_columns(columns)
    if names is not None:
        read["names"] = parse_names(names)
    write: dict[str, Any] = {name: given[name] for name in ("scheme", "fields") if name in given}
    if "to_offsets" in given:
        write["offsets"] = given["to_offsets"]
    settings = Settings(
        source=read_as,
        target=write_as,
        align=given.get("align"),
        overlap=given.get("overlap"),
        types=None if types is None else frozenset(name.strip() for name in types.split(",")),
        read=ReadOptions(**read),
        write=WriteOptions(**write),
        force=force,
        tokenize=tokenizing(given.get("language"), _say),
    )
    if out == "-":
        console.refuse_own_output(source)
    convert_file(source, out, settings, say=_say, out=console.write)


def _say(text: str) -> None:
    console.say(with_own_options(text))


def parse_named_columns(text: str) -> dict[str, int | str]:
    """Parse columns with indexes or names: `token=Word,tag=3` gives {"token": "Word", "tag": 3}."""
    columns: dict[str, int | str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value or name in columns:
            raise click.BadParameter(
                f"found {part!r}, expected NAME=INDEX or NAME=HEADER, each name only once, as in token=0,tag=-1",
                param_hint="--columns",
            )
        columns[name] = int(value) if value.removeprefix("-").isdecimal() else value
    return columns


def parse_names(text: str) -> tuple[str, ...]:
    """Return names between commas, or those in a file.

    Raises:
        DataError: the file cannot be read.
    """
    from tagger.corpus.labels import read_names

    return tuple(name.strip() for name in text.split(",")) if "," in text else read_names(text)
