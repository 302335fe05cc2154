"""Files of any format in the place of CoNLL files: each is converted to a CoNLL file that lives while it is read."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tagger.corpus.labels import Labels
from tagger.corpus.layout import Layout
from tagger.corpus.lines import Files, files_of
from tagger.errors import DataError, TaggerError
from tagger.formats import conll, conllu, text
from tagger.formats.convert import NO_SUCH_TYPE, Settings, convert
from tagger.formats.document import ReadOptions
from tagger.formats.registry import guess_source, named
from tagger.formats.shared_columns import columns_of, require_known
from tagger.formats.tokenizing import tokenizing

# Formats that are read as they are: `corpus` knows their columns, and keeps their bytes.
_READ_AS_THEY_ARE = (conll.FORMAT.name, conllu.FORMAT.name)
_MANY_LINES = 30  # of messages about one file
CONVERTED = Layout(delimiter="tab", n_columns=2)  # of a file that was converted


def settings_of(given: Mapping[str, Any], labels: Labels) -> Settings:
    """Return the settings for converting the files of a config.

    Args:
        given: the keys of the config that say how to convert, as `DataConfig.conversion` returns them, and
            `language`.
        labels: the rules for types; spans of types that are left out need not fit the tokens.
    """
    names = ("encoding", "scheme", "delimiter", "columns", "offsets", "language")
    read = ReadOptions(**{name: given[name] for name in names if name in given}, names=tuple(given.get("names", ())))
    return Settings(
        source=given.get("format"),
        align=given.get("align"),
        overlap=given.get("overlap"),
        types=labels.types_in_files,
        read=read,
    )


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
        settings: the settings for converting them.
        note: called with what was converted, and what of it could not be kept.
        as_they_are: the names of the formats that are not converted.
        together: the files of one config. If they have several formats, each is read with those of the columns in
            `settings` that it has.
        stored: whether the columns in `settings` are those of a model, whose files may have had another format.

    Raises:
        DataError: a name of a column is in none of the files.
    """

    def __init__(
        self,
        files: contextlib.ExitStack,
        settings: Settings,
        note: Callable[[str], None],
        as_they_are: Collection[str] = _READ_AS_THEY_ARE,
        *,
        together: Collection[Files] = (),
        stored: bool = False,
    ) -> None:
        self._files, self._settings, self._note, self._as_they_are = files, settings, note, as_they_are
        self._names: dict[str, str] = {}  # converted file → the name for messages
        self._shares_columns = stored
        if settings.read.columns and together:
            self._share_columns([path for files in together for path in files_of(files)])

    def _share_columns(self, paths: Collection[str]) -> None:
        formats = {path: self._format_of(path) for path in paths}
        self._shares_columns = len(set(formats.values())) > 1
        if self._shares_columns:
            require_known(self._settings.read.columns, [self.columns(path) for path in formats], list(formats))

    def columns(self, path: str) -> Mapping[str, int | str]:
        """Return the columns of the settings that a file has, if the settings are for files of several formats."""
        read = self._settings.read
        if not self._shares_columns:
            return read.columns
        return columns_of(read.columns, path, self._format_of(path) or conll.FORMAT.name, read.encoding)

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
        if self._settings.source is not None:
            name = named(self._settings.source).name
        else:
            try:
                name = guess_source(Path(path))[0].name
            except DataError:
                return None  # reading it as CoNLL says what is wrong with it
            if name == text.FORMAT.name:
                return None  # there are no tags in it, which reading it as CoNLL says best
        # Numbered tags get their names only when they are converted.
        return None if name in self._as_they_are and not self._settings.read.names else name

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
        settings = dataclasses.replace(
            self._settings,
            read=dataclasses.replace(self._settings.read, columns=self.columns(path)),
            source=name,
            target=conll.FORMAT.name,
            tokenize=tokenizing(self._settings.read.language, lines.append),
        )
        try:
            convert(path, str(target), settings, say=lines.append)
        except DataError as error:
            # What is too long is cut at its end.
            advice = [f"tagger convert {path} OUT.conll shows all of them"] if len(lines) > _MANY_LINES else []
            raise DataError(error.message, detail=[*error.detail, *advice, *lines[2:]]) from None
        # The first two name the formats; not every file of a corpus needs all types.
        told = [line.removeprefix("note: ") for line in lines[2:] if not line.startswith(NO_SUCH_TYPE)]
        found = "; ".join(map(self.original, told))
        self._note(f"{path} is {name}, read by way of CoNLL: {found}")
        return str(target)


@contextlib.contextmanager
def reading(
    settings: Settings | None = None,
    note: Callable[[str], None] = lambda text: None,
    *,
    conllu_as_it_is: bool = True,
    together: Collection[Files] = (),
    stored: bool = False,
) -> Iterator[Readers]:
    """Return what makes files readable; the converted ones are removed at the end, so that everything must be read.

    Args:
        settings: the settings for converting files: their format, how to read it, and what to do with spans.
        note: called with what was converted, and what of it could not be kept.
        conllu_as_it_is: whether CoNLL-U is read by its columns, as CoNLL is, and not converted.
        together, stored: as for `Readers`.

    Raises:
        DataError: as the body does, with the names of the user's files.
    """
    with contextlib.ExitStack() as files:
        as_they_are = _READ_AS_THEY_ARE if conllu_as_it_is else (conll.FORMAT.name,)
        readers = Readers(files, settings or Settings(), note, as_they_are, together=together, stored=stored)
        try:
            yield readers
        except TaggerError as error:
            message, *detail = map(readers.original, (error.message, *error.detail))
            raise type(error)(message, detail=detail) from None
