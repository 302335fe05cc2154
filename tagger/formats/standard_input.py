"""Standard input for formats that are read more than once: their tags are settled before their documents are made."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tagger.corpus.lines import open_corpus, shown_name
from tagger.errors import DataError
from tagger.formats.document import Document, Format, Place, ReadOptions


def read_standard_input(format_: Format, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of standard input, which is stored in a temporary file while they are read.

    Documents, reports and errors name standard input.
    """
    if sys.stdin is None:
        yield from format_.read(Path("-"), options)  # it says that standard input is closed
        return
    with stored("-") as path:
        yield from read_stored(path, "-", format_, options)


@contextlib.contextmanager
def stored(source: str) -> Iterator[Path]:
    """Give the path of a temporary file with all of standard input, which is called `-`, or of a named pipe.

    Raises:
        DataError: it is closed, or cannot be stored.
    """
    if source == "-" and sys.stdin is None:
        open_corpus("-")  # it says that standard input is closed
    with tempfile.TemporaryDirectory(prefix="tagger-") as folder:
        path = Path(folder, "input" if source == "-" else Path(source).name)
        try:
            with path.open("wb") as file, contextlib.ExitStack() as streams:
                stream = sys.stdin.buffer if source == "-" else streams.enter_context(Path(source).open("rb"))
                shutil.copyfileobj(stream, file)
        except OSError as error:
            text = f"cannot be stored for reading it twice: {error.strerror or error}; write it to a file first"
            raise DataError(text, path=shown_name(source)) from None
        yield path


def read_stored(path: Path, source: str, format_: Format, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a stored source, which documents, reports and errors name instead of the file."""
    name = shown_name(source)

    def original(text: str) -> str:
        return text.replace(str(path), name)

    def report(error: DataError) -> None:
        options.report(DataError(original(error.text), path=name, line=error.line, kind=error.kind))

    own = dataclasses.replace(options, report=report, note=lambda text: options.note(original(text)))
    try:
        for document in format_.read(path, own):
            yield dataclasses.replace(document, place=Place(name, document.place.line))
    except DataError as error:
        raise DataError(original(error.message), detail=list(map(original, error.detail))) from None
