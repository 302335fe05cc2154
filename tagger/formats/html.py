"""A page for people: the text with its spans marked, in one HTML file without scripts and without network requests.

Each type has a color, and is written behind the text of its spans. The colors follow the dark mode of the reader's
system, lines wrap on small screens, and each line of the text has its own direction.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Iterable, Iterator

from tagger.formats.document import Document, DocumentSpan, WriteOptions, encoded
from tagger.formats.losses import report_losses
from tagger.formats.written_only import rendered, written_only

# A browser takes these characters for errors, so their pictures are shown: U+2400 for NUL, and so on.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: "\u2421"}
_GOLDEN_ANGLE = 137.508  # degrees; the hues of the first types lie far apart, however many follow
_PARAGRAPH, _PARAGRAPH_END = '<p dir="auto">', "</p>\n"
_HEAD = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Text with entities</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ccc; --fill: 85% 88%; --edge: 60% 40%; }
body { margin: 0 auto; padding: 1rem; max-width: 45rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.9 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; }
h2 { font-size: 1rem; }
article { border-block-start: 1px solid var(--line); }
p { margin: .4rem 0; white-space: pre-wrap; unicode-bidi: isolate; }
mark { padding: .1em .25em; border: 1px solid hsl(var(--hue) var(--edge)); border-radius: .25em; color: inherit;
  background: hsl(var(--hue) var(--fill)); unicode-bidi: isolate; box-decoration-break: clone;
  -webkit-box-decoration-break: clone; }
mark span { unicode-bidi: plaintext; }
mark b { font-size: .75em; letter-spacing: .03em; unicode-bidi: isolate; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --paper: #161616; --line: #444; --fill: 45% 24%; --edge: 50% 60%; }
}
@media print { mark { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
</style>
</head>
<body>
<main>
<h1>Text with entities</h1>
"""
_TAIL = "</main>\n</body>\n</html>\n"


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield the head of the page, an article for each document, and the end."""
    yield _HEAD.encode()
    hues: dict[str, int] = {}
    opened = functools.partial(_opened, hues)
    for number, document in enumerate(documents, start=1):
        report_losses(document, options, "html", ("tokens", "plain tags"))
        body = rendered(document, options, text=_text, opened=opened, closed=_closed)
        lines = f"{_PARAGRAPH}{body}{_PARAGRAPH_END}".replace(_PARAGRAPH + _PARAGRAPH_END, "")
        name = document.id if document.id is not None else f"Document {number}" if _needs_number(document) else None
        heading = "" if name is None else f"<h2><bdi>{_escaped(name)}</bdi></h2>\n"
        yield encoded(f"<article>\n{heading}{lines}</article>\n", document)
    yield _TAIL.encode()


def _needs_number(document: Document) -> bool:
    return "\n" in document.text and not document.is_piece


def _escaped(text: str) -> str:
    return html.escape(text.replace("\r\n", "\n").translate(_PICTURES))


def _text(text: str, inside: bool) -> str:
    escaped = _escaped(text)
    return escaped if inside else escaped.replace("\n", _PARAGRAPH_END + _PARAGRAPH)


def _opened(hues: dict[str, int], span: DocumentSpan) -> str:
    hue = hues.setdefault(span.type, round(len(hues) * _GOLDEN_ANGLE) % 360)
    title = "" if span.probability is None else f' title="probability {span.probability:.4f}"'
    return f'<mark style="--hue: {hue}"{title}><span>'


def _closed(span: DocumentSpan) -> str:
    # The direction of a paragraph is that of its text: a browser skips elements that have their own.
    return f'</span> <b dir="auto">{_escaped(span.type)}</b></mark>'


FORMAT = written_only("html", "a page with the spans marked, to be read in a browser", (".html", ".htm"), blocks)
