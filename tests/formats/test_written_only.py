"""The formats that are only written: the table of spans, text in brackets, and the page."""

from __future__ import annotations

import colorsys
import csv
import html.parser
import re
from pathlib import Path

import pytest
from documents import make, read, write
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats import html as page
from tagger.formats import marked, spans
from tagger.formats.document import Document, DocumentSpan, Format, WriteOptions

HOSTILE = "a[b]\\ <script>alert('&')</script> \u202e\u05d0\u05d1\tc\r\nd\x00 \"e\" 😀"


def written(format_: Format, *documents: Document, tmp_path: Path, **options: object) -> tuple[str, list[str]]:
    reports = write(format_, documents, tmp_path / "out", **options)
    return (tmp_path / "out").read_bytes().decode(), reports


class Page(html.parser.HTMLParser):
    """The text of a page, the text of each `mark` without its label, and the labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.body, self.labels, self.marks = "", list[str](), list[str]()
        self.titles: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta",):
            self.open.append(tag)
        if tag == "mark":
            self.titles += [value or "" for name, value in attrs if name == "title"]
            self.marks.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "p":
            self.body += "\n"

    def handle_data(self, data: str) -> None:
        if "p" not in self.open:
            return
        if self.open[-1] == "b":
            self.labels.append(data)
        elif self.open[-1] == "span" or self.open[-1] == "p":
            self.body += data
            if self.open[-1] == "span":
                self.marks[-1] += data


@pytest.mark.parametrize("format_", [spans.FORMAT, marked.FORMAT, page.FORMAT], ids=lambda format_: format_.name)
def test_they_cannot_be_read(format_: Format, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"a: found the format {format_.name}, which can only be written"):
        read(format_, Path("a"))


def test_a_table_of_spans(tmp_path: Path) -> None:
    first = Document(
        text="😀 Hanna Berg", spans=(DocumentSpan("PER", 2, 12, 0.87654), DocumentSpan("a\tb", 0, 1)), id="x\ty"
    )
    second = Document(text=HOSTILE, spans=(DocumentSpan("X", 0, len(HOSTILE), 1.0),))
    text, reports = written(spans.FORMAT, first, second, tmp_path=tmp_path)
    lines = text.split("\n")
    assert lines[0] == "document\tstart\tend\ttype\tprobability\ttext"
    assert lines[1] == "x\\ty\t2\t12\tPER\t0.8765\tHanna Berg"
    assert lines[2] == "x\\ty\t0\t1\ta\\tb\t\t😀"
    assert len(lines) == 5
    (row,) = list(csv.reader([lines[3]], delimiter="\t", quoting=csv.QUOTE_NONE))
    assert row[:5] == ["2", "0", str(len(HOSTILE)), "X", "1.0000"]
    assert re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n", "r": "\r"}.get(m[1], m[1]), row[5]) == HOSTILE
    assert set(reports) == {"spans cannot hold the text outside spans, which is left out"}


def test_offsets_of_a_table_in_other_units(tmp_path: Path) -> None:
    document = Document(text="😀 Ann", spans=(DocumentSpan("PER", 2, 5),))
    for unit, cells in (("utf-16", "3\t6"), ("bytes", "5\t8")):
        text, _ = written(spans.FORMAT, document, tmp_path=tmp_path, offsets=unit)
        assert text.splitlines()[1] == f"1\t{cells}\tPER\t\tAnn"


def test_text_in_brackets(tmp_path: Path) -> None:
    document = make("Hanna Berg of [x]\\ Bonn", "left", spans=[("PER", 0, 10), ("ORG", 0, 23), ("a ]b", 19, 23)])
    text, reports = written(marked.FORMAT, make("Hi"), document, make("Ann", spans=[("PER", 0, 3)]), tmp_path=tmp_path)
    assert text == ("Hi\n\n[[Hanna Berg PER] of \\[x\\]\\\\ [Bonn a\\ \\]b] ORG]\nleft\n\n[Ann PER]\n")
    assert reports == []


def unmarked(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Return the text and the spans of text in brackets, by the rules of docs/file-format.md."""
    found, opened, out, i = [], list[int](), "", 0
    escaped: list[bool] = []  # whether each character of `out` had a backslash before it
    while i < len(text):
        if text[i] == "\\":
            out, i = out + text[i + 1], i + 2
            escaped.append(True)
            continue
        if text[i] == "[":
            opened.append(len(out))
        elif text[i] == "]":
            blank = max(j for j, sign in enumerate(out) if sign == " " and not escaped[j])
            found.append((out[blank + 1 :], opened.pop(), blank))
            out, escaped = out[:blank], escaped[:blank]
        else:
            out += text[i]
            escaped.append(False)
        i += 1
    return out, found


@given(
    st.text("ab[]\\ 😀\u05d0<", min_size=1, max_size=12),
    st.lists(st.tuples(st.text("P[]\\ -", min_size=1, max_size=3), st.integers(0, 11), st.integers(1, 12)), max_size=4),
)
def test_brackets_are_unambiguous(text: str, found: list[tuple[str, int, int]]) -> None:
    given_spans = [DocumentSpan(*span) for span in found if span[1] < span[2] <= len(text)]
    reports: list[DataError] = []
    options = WriteOptions(report=reports.append)
    (block,) = marked.blocks([Document(text=text, spans=tuple(given_spans))], options)
    shown, marks = unmarked(block.decode().removesuffix("\n"))
    assert shown == text
    assert len(marks) + len(reports) == len(given_spans)
    assert set(marks) <= {(span.type, span.start, span.end) for span in given_spans}


def test_spans_that_cross_are_reported(tmp_path: Path) -> None:
    document = make("a b c", spans=[("X", 0, 3), ("Y", 2, 5)])
    for format_ in (marked.FORMAT, page.FORMAT):
        _, reports = written(format_, document, tmp_path=tmp_path)
        assert "the Y span from 2 to 5 crosses another span; it is left out" in reports


def test_a_page(tmp_path: Path) -> None:
    documents = (
        Document(text=HOSTILE, spans=(DocumentSpan("<b>", 0, 4, 0.5), DocumentSpan("PER", 8, 15)), id="<i>&"),
        make("Ann left", "Bonn [x]", spans=[("PER", 0, 3), ("LOC", 9, 13)]),
        make("one line"),
    )
    text, _ = written(page.FORMAT, *documents, tmp_path=tmp_path)
    assert text.startswith('<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">')
    found = Page(text)
    assert found.open == []
    assert found.labels == ["<b>", "PER", "PER", "LOC"]
    assert found.marks == ["a[b]", HOSTILE[8:15], "Ann", "Bonn"]
    assert found.titles == ["probability 0.5000"]
    lines = HOSTILE.replace("\r\n", "\n").replace("\x00", "\u2400")
    assert [line for line in found.body.split("\n") if line] == [*lines.split("\n"), "Ann left", "Bonn [x]", "one line"]
    assert "<h2><bdi>&lt;i&gt;&amp;</bdi></h2>" in text
    assert "<h2><bdi>Document 2</bdi></h2>" in text
    assert "Document 3" not in text
    hues = re.findall(r'--hue: (\d+)"', text)
    assert hues == ["0", "138", "138", "275"]


def test_a_page_requests_and_runs_nothing(tmp_path: Path) -> None:
    text, _ = written(page.FORMAT, Document(text=HOSTILE, spans=(DocumentSpan("PER", 0, 4),)), tmp_path=tmp_path)
    found = Page(text)
    assert set(found.tags) == {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "article", "h2", "bdi", "p", "mark", "span", "b",
    }  # fmt: skip
    assert not re.search(r"url\(|@import|https?:|\son\w+=|src=|href=|\slang=", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
    assert "overflow-wrap" in text


def test_a_span_over_a_line_end_stays_in_one_paragraph(tmp_path: Path) -> None:
    text, _ = written(
        page.FORMAT, Document(text="a New\nYork b\n\nc", spans=(DocumentSpan("LOC", 2, 10),)), tmp_path=tmp_path
    )
    assert text.count("<p dir") == 2
    assert Page(text).marks == ["New\nYork"]


def _luminance(color: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("ink", "saturation", "lightness"), [(0x1A, 0.85, 0.88), (0xEE, 0.45, 0.24)])
def test_every_color_can_be_read(ink: int, saturation: float, lightness: float) -> None:
    text = b"".join(page.blocks([], WriteOptions())).decode()
    assert f"--fill: {saturation:.0%} {lightness:.0%}" in text
    of_text = _luminance((ink / 255,) * 3)
    for hue in range(360):
        fill = _luminance(colorsys.hls_to_rgb(hue / 360, lightness, saturation))
        contrast = (max(of_text, fill) + 0.05) / (min(of_text, fill) + 0.05)
        assert contrast >= 4.5, hue  # WCAG 2, level AA
