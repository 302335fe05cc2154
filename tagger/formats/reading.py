"""Files of any format in the place of CoNLL files: each is converted to a CoNLL file that lives while it is read."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tagger.corpus.layout import Layout
from tagger.corpus.lines import Files, files_of
from tagger.errors import DataError, TaggerError
from tagger.formats import conll, conllu
from tagger.formats.convert import Settings, convert
from tagger.formats.document import ReadOptions
from tagger.formats.registry import guess_source, named

# Formats that are read as they are: `corpus` knows their columns, and keeps their bytes.
_READ_AS_THEY_ARE = (conll.FORMAT.name, conllu.FORMAT.name)
CONVERTED = Layout(delimiter="tab", n_columns=2)  # of a file that was converted


@dataclasses.dataclass(frozen=True)
class Readable:
    """Files that can be read as CoNLL.

    Attributes:
        paths: the files, of which converted ones are temporary.
        converted: whether they were converted; they then have the layout `CONVERTED`.
    """

    paths: Files
    converted: bool


class Readers:
    """The files of one reading, and the names of those that they were converted from.

    Args:
        files: closed at the end of the reading, when converted files are removed.
        format_name: the format of the files, or None to guess it.
        options: the settings for reading them.
        note: called with what was converted, and what of it could not be kept.
    """

    def __init__(
        self,
        files: contextlib.ExitStack,
        format_name: str | None,
        options: ReadOptions,
        note: Callable[[str], None],
    ) -> None:
        self._files, self._format, self._options, self._note = files, format_name, options, note
        self._names: dict[str, str] = {}  # converted file → the name for messages

    def readable(self, paths: Files) -> Readable:
        """Convert files that are not CoNLL.

        Raises:
            DataError: a file cannot be converted, or some are CoNLL and others are not.
        """
        formats = {path: self._format_of(path) for path in files_of(paths)}
        foreign = [path for path, name in formats.items() if name is not None]
        if not foreign:
            return Readable(paths, converted=False)
        if len(foreign) < len(formats):
            first = next(path for path in formats if path not in foreign)
            raise DataError(
                f"{foreign[0]}: found {formats[foreign[0]]}, expected CoNLL as in {first}: the files of one corpus must"
                " have one format; convert them with tagger convert"
            )
        return Readable([self._converted(path, str(formats[path])) for path in foreign], converted=True)

    def original(self, text: str) -> str:
        """Return a message that names the files of the user instead of the converted ones."""
        for path, name in self._names.items():
            text = text.replace(path, name)
        return text

    def _format_of(self, path: str) -> str | None:
        """Return the name of a format that must be converted, or None."""
        if self._format is not None:
            name = named(self._format, option="data.format").name
        else:
            try:
                name = guess_source(Path(path))[0].name
            except DataError:
                return None  # reading it as CoNLL says what is wrong with it
        return None if name in _READ_AS_THEY_ARE else name

    def _converted(self, path: str, name: str) -> str:
        try:  # only now, because reading CoNLL needs no place to write to
            folder = self._files.enter_context(tempfile.TemporaryDirectory(prefix="tagger-"))
        except OSError as error:
            raise DataError(
                f"is {name}, and there is no temporary folder to convert it in: {error.strerror}; set TMPDIR to one"
                " that can be written",
                path=path,
            ) from None
        target = Path(folder) / Path(path).name.removesuffix(".gz")
        self._names[str(target)] = f"{path} (as CoNLL)"
        lines: list[str] = []
        try:
            convert(
                path, str(target), Settings(source=name, target=conll.FORMAT.name, read=self._options), say=lines.append
            )
        except DataError as error:
            advice = f"tagger convert {path} OUT.conll shows all of them, and has options for what to do with them"
            raise DataError(error.message, detail=[*error.detail, *lines[2:], advice]) from None
        found = "; ".join(
            self.original(line.removeprefix("note: ")) for line in lines[2:]
        )  # the first two name the formats
        self._note(f"{path} is {name}, read by way of CoNLL: {found}")
        return str(target)


@contextlib.contextmanager
def reading(
    format_name: str | None = None,
    options: ReadOptions | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Readers]:
    """Return what makes files readable; the converted ones are removed at the end, so that everything must be read.

    Raises:
        DataError: as the body does, with the names of the user's files.
    """
    with contextlib.ExitStack() as files:
        readers = Readers(files, format_name, options or ReadOptions(), note)
        try:
            yield readers
        except TaggerError as error:
            message, *detail = map(readers.original, (error.message, *error.detail))
            raise type(error)(message, detail=detail) from None
