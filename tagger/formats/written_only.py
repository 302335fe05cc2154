"""What formats share that are written for people or tables and cannot be read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, Format, ReadOptions, WriteOptions
from tagger.formats.json_fields import error_at


def written_only(
    name: str,
    description: str,
    suffixes: tuple[str, ...],
    blocks: Callable[[Iterable[Document], WriteOptions], Iterator[bytes]],
) -> Format:
    """Return a format that is never recognized, and refuses to be read."""

    def read(path: Path, options: ReadOptions) -> Iterator[Document]:
        raise DataError(
            f"found the format {name}, which can only be written, expected one that can be read; set"
            " data.format to another",
            path=path,
        )

    return Format(
        name=name,
        description=description,
        suffixes=suffixes,
        recognize=lambda lines: False,
        read=read,
        is_read=False,
        blocks=blocks,
    )


def rendered(
    document: Document,
    options: WriteOptions,
    *,
    text: Callable[[str, bool], str],
    opened: Callable[[DocumentSpan], str],
    closed: Callable[[DocumentSpan], str],
) -> str:
    """Return the text of a document with marks around its spans, which may be nested.

    A span that crosses an earlier one cannot be marked, and is reported.

    Args:
        document: the document.
        options: whose `report` is called.
        text: returns a piece of text as it is written; the second argument is whether a span is open.
        opened, closed: return what is written before and after the text of a span.
    """
    parts, inside, at = [], list[DocumentSpan](), 0

    def up_to(end: int) -> None:
        nonlocal at
        if at < end:
            parts.append(text(document.text[at:end], bool(inside)))
            at = end

    def close(end: int) -> None:
        while inside and inside[-1].end <= end:
            up_to(inside[-1].end)
            parts.append(closed(inside.pop()))

    for span in sorted(document.spans, key=lambda span: (span.start, -span.end)):
        close(span.start)
        if inside and inside[-1].end < span.end:
            found = f"the {span.type} span from {span.start} to {span.end} crosses another span; it is left out"
            common = "spans that cross other spans cannot be marked, and are left out"
            options.report(error_at(document.place, found, common=common))
            continue
        up_to(span.start)
        inside.append(span)
        parts.append(opened(span))
    close(len(document.text))
    up_to(len(document.text))
    return "".join(parts)
