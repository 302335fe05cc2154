"""Parquet, as Hugging Face data sets have it: a row for each sentence, with `tokens` and `ner_tags`.

Rows are read like the objects of JSON lines, with the same names of columns. Tags that are numbers get the names that
the schema gives them (ClassLabel). Written are `id` if there is one, `tokens`, and `ner_tags` (plain tags: `tags`),
with the schema in which `datasets` finds the names: outside first, then the types in alphabetical order, each with all
prefixes of the scheme, so that two files with the same types number their tags in the same way.

The file must be on a disk, because its end says where everything is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.corpus.lines import open_corpus
from tagger.corpus.schemes import OUTSIDE, SCHEMES, split_tag
from tagger.errors import DataError
from tagger.formats.document import Document, Format, Place, ReadOptions, WriteOptions
from tagger.formats.json_fields import error_at
from tagger.formats.jsonl import RecordReader
from tagger.formats.jsonl_forms import hf_rows
from tagger.formats.losses import has_plain_tags, report_fields
from tagger.formats.tag_reading import read_tags

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

_KEY = b"huggingface"
_ROWS = 1000  # in a batch that is read
_GROUP = 10_000  # rows in a group that is written
_PREFIXES = "BIELSU"  # their order in the names of tags


def _library() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "Parquet: found no pyarrow, expected it to read and write this format; pip install"
            " 'twobranch-tagger[parquet]'"
        ) from None
    return parquet


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn the errors of pyarrow into DataError."""
    import pyarrow

    try:
        yield
    except (pyarrow.lib.ArrowException, OSError, ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).partition("\n")[0]
        raise DataError(f"is not Parquet that can be read: {reason}; get the file again", path=path) from None


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a file, which are its rows.

    Raises:
        DataError: the file is not Parquet, a row is wrong, or pyarrow is not installed.
    """
    library = _library()
    if str(path) == "-":
        raise DataError("<standard input>: found a stream, expected a file: Parquet is read from its end; name a file")
    if not path.is_file():
        open_corpus(path).close()  # it says what is wrong
    with _errors(path), library.ParquetFile(path) as file:
        columns = _columns(file.schema_arrow, options, path)
        reader = RecordReader(options)
        drafts = (reader.draft(record, place) for record, place in _rows(file, columns, path, options))
        yield from read_tags(drafts, options)


def names_of_columns(path: Path) -> list[str]:
    """Return the names of the columns of a file."""
    library = _library()
    with _errors(path), library.ParquetFile(path) as file:
        return list(file.schema_arrow.names)


def _names(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Return the names of tags that the schema gives, by column."""
    try:
        features = json.loads((metadata or {})[_KEY])["info"]["features"]
        found = {column: feature.get("feature", feature).get("names") for column, feature in features.items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {
        column: tuple(names)
        for column, names in found.items()
        if isinstance(names, list) and all(isinstance(name, str) for name in names)
    }


def _columns(schema: pyarrow.Schema, options: ReadOptions, path: Path) -> list[str]:
    """Return the columns to read; those with bytes in them are reported."""
    columns = []
    for field in schema:
        if "binary" in str(field.type):
            text = f"the column {field.name}, which holds bytes, is not kept"
            options.report(error_at(Place(str(path)), text))
        else:
            columns.append(field.name)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise error_at(Place(str(path)), f"found the column {twice[0]} twice, expected it once; rename one of them")
    return columns


def _rows(
    file: parquet.ParquetFile, columns: Sequence[str], path: Path, options: ReadOptions
) -> Iterator[tuple[dict[str, Any], Place]]:
    names = _names(file.schema_arrow.metadata)
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        for row in batch.to_pylist():
            number += 1
            place = Place(str(path), number)
            record = {
                name: _plain(_named(value, names.get(name)), name, place, options)
                for name, value in row.items()
                if value is not None
            }
            yield record, place


def _named(value: Any, names: Sequence[str] | None) -> Any:
    """Return a value with names in the place of numbers, if its column has names."""
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if type(value) is int and 0 <= value < len(names) else value


def _plain(value: Any, name: str, place: Place, options: ReadOptions) -> Any:
    """Return a value as JSON could hold it."""
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, list):
        if set(map(type, value)) <= {str, int}:
            return value
        return [_plain(one, name, place, options) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one, name, place, options) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        options.report(error_at(place, f"numbers of {name} that are not finite are not kept"))
        return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value if isinstance(value, float) else str(value)


class _Numbers:
    """The numbers of tags, in the order in which they come."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, tags: Iterable[str]) -> list[int]:
        known = self._known
        return [known.setdefault(tag, len(known)) for tag in tags]

    def names(self, scheme: str | None) -> list[str]:
        """Return all names in their final order: plain tags by the alphabet, spans' tags with all their prefixes."""
        if scheme is None:
            return sorted(self._known)
        types = sorted({split_tag(tag)[1] for tag in self._known if tag != OUTSIDE})
        prefixes = sorted(SCHEMES[scheme].prefixes, key=_PREFIXES.index)
        return [OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in prefixes)]

    def renumbered(self, names: Sequence[str]) -> list[int]:
        """Return the final number of each number."""
        final = {name: i for i, name in enumerate(names)}
        return [final[tag] for tag in self._known]


def write(documents: Iterable[Document], path: Path, options: WriteOptions) -> None:
    """Write documents to a file.

    The tags are numbered as they come, and renumbered in a second pass, when all of them are known.

    Raises:
        DataError: a document has no tokens, some have plain tags and others spans, or pyarrow is not installed.
    """
    library = _library()
    numbers = _Numbers()
    first = path.with_name(f"{path.name}.first")
    try:
        with _written(path):
            column, has_ids = _write_first(documents, first, numbers, options, library)
            names = numbers.names(options.scheme if column == "ner_tags" else None)
            _write_final(first, path, column, names, numbers.renumbered(names), has_ids=has_ids, library=library)
    finally:
        first.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except pyarrow.lib.ArrowException as error:
        raise DataError(f"cannot be written as Parquet: {error}; choose another format", path=path) from None
    except UnicodeEncodeError:
        text = "found half of a surrogate pair, expected a whole character; fix the texts"
        raise DataError(text, path=path) from None


def _write_first(
    documents: Iterable[Document], path: Path, numbers: _Numbers, options: WriteOptions, library: Any
) -> tuple[str, bool]:
    """Write all rows with the numbers of tags as they come; return the column of the tags and whether there are ids."""
    import pyarrow

    schema = pyarrow.schema(
        {"id": pyarrow.string(), "tokens": pyarrow.list_(pyarrow.string()), "tags": pyarrow.list_(pyarrow.int64())}
    )
    column: str | None = None
    has_ids = False
    with library.ParquetWriter(path, schema) as writer:
        rows: list[dict[str, Any]] = []
        for document in documents:
            report_fields(document, options)
            own = "ner_tags" if document.spans else "tags" if has_plain_tags(document) else column
            if column not in (None, own):
                text = "found plain tags here, or spans, and the other in documents before, expected one of them"
                raise error_at(document.place, f"{text}; write them to different files")
            column = own
            has_ids = has_ids or document.id is not None
            for row in hf_rows(dataclasses.replace(document, fields={}), options):
                tags = row["ner_tags"] if "ner_tags" in row else row["tags"]
                rows.append({"id": row.get("id"), "tokens": row["tokens"], "tags": numbers.of(tags)})
            if len(rows) >= _GROUP:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pyarrow.Table.from_pylist(rows, schema))
    return column or "ner_tags", has_ids


def _write_final(
    first: Path,
    path: Path,
    column: str,
    names: Sequence[str],
    renumbered: Sequence[int],
    *,
    has_ids: bool,
    library: Any,
) -> None:
    """Write the rows with the final numbers of tags, and a schema that names them."""
    import numpy as np
    import pyarrow

    value = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {"id": value} if has_ids else {}
    # `Sequence` is what every version of datasets reads; `List`, which newer ones write, is unknown to the older ones.
    features["tokens"] = {"feature": value, "_type": "Sequence"}
    features[column] = {"feature": {"names": list(names), "_type": "ClassLabel"}, "_type": "Sequence"}
    types = {"id": pyarrow.string(), "tokens": pyarrow.list_(pyarrow.string()), column: pyarrow.list_(pyarrow.int64())}
    metadata = {_KEY: json.dumps({"info": {"features": features}}).encode()}
    schema = pyarrow.schema([(name, types[name]) for name in features], metadata=metadata)
    numbers = np.asarray(renumbered, np.int64)
    with library.ParquetFile(first) as file, library.ParquetWriter(path, schema) as writer:
        for batch in file.iter_batches(batch_size=_GROUP):
            tags = batch.column("tags")
            values = pyarrow.array(numbers[tags.values.to_numpy()], pyarrow.int64())
            columns = {"id": batch.column("id"), "tokens": batch.column("tokens")}
            columns[column] = pyarrow.ListArray.from_arrays(tags.offsets, values)
            writer.write_table(pyarrow.Table.from_arrays([columns[name] for name in schema.names], schema=schema))


def recognize(lines: list[str]) -> bool:
    """Return whether a file begins as Parquet does."""
    return bool(lines) and lines[0].startswith("PAR1")


FORMAT = Format(
    name="parquet",
    description="Parquet, as Hugging Face data sets have it: tokens and ner_tags",
    suffixes=(".parquet",),
    recognize=recognize,
    read=read,
    write=write,
    flat=True,
    fields=None,  # the writer reports them itself
    extra="parquet",
)
