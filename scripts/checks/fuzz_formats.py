"""Convert damaged files of every format, and look for tracebacks and for silent losses.

Each round takes a small file of one format, damages it at a few places, and converts it into another format. It must be
converted, or be refused with an error that names it. (WebAnno TSV, which the product only reads, is written here.) What
is converted is then read again: every span and every token that was in the documents must be there, unless the
conversion said that something could not be kept. Anything else is printed with the seed that makes it again. `--lose`
drops a span in silence, to see that it is noticed.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import random
import re
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tagger.errors import TaggerError
from tagger.formats.convert import Settings, convert
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, ReadOptions, WriteOptions
from tagger.formats.registry import FORMATS, guess_source, named

_FOLDERS = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # in memory, where a new file takes no time
_FEWEST = 3  # tokens and spans; the columns of a file with fewer lines cannot be told apart when it is read again
_LAYER = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
# Lines that say nothing of a loss: the formats, how they were read, and the counts.
_USUAL = re.compile(r"reading |writing |note: |\d+ documents?, ")

# fmt: off
WORDS = ["Anna", "Berg", "saw", "U.S.", ",", "1/2", "名古屋", "e\u0301", "😀", "#x", "-", "(", "a|b", '"']
SIGNS = ["\t", " ", "\n", "\r", "\r\n", ",", '"', "/", "|", "#", "(", ")", "*", "[", "{", "}", ":", "-", "O", "B-PER",
         "I-", "\x00", "\ufeff", "\u2028", "9", "null", "-DOCSTART-"]
# fmt: on


def documents(random_: random.Random) -> list[Document]:
    """Return a few documents with spans on their tokens."""
    found = []
    for _ in range(random_.randint(1, 4)):
        start, rows, spans, texts = 0, [], [], []
        for _ in range(random_.randint(1, 3)):
            words = random_.choices(WORDS, k=random_.randint(1, 6))
            row = []
            for word in words:
                row.append(DocumentToken(start, start + len(word)))
                start += len(word) + 1
            first = random_.randrange(len(row))
            last = random_.randrange(first, len(row))
            spans.append(DocumentSpan(random_.choice(["PER", "LOC"]), row[first].start, row[last].end))
            rows.append(tuple(row))
            texts.append(" ".join(words))
        found.append(Document(text="\n".join(texts), spans=tuple(spans), sentences=tuple(rows)))
    return found


def damaged(data: bytes, random_: random.Random) -> bytes:
    """Return bytes with a few signs put in, taken out, copied or replaced."""
    text = bytearray(data)
    for _ in range(random_.choice([0, 1, 1, 2, 5])):
        at, end = sorted(random_.choices(range(len(text) + 1), k=2))
        end = min(end, at + random_.choice([0, 1, 3, 20]))
        sign = random_.choice(SIGNS).encode()
        text[at:end] = random_.choice([sign, b"", bytes(text[at:end]) * 2, bytes([random_.randrange(256)])])
    return bytes(text)


def files(format_: Format, random_: random.Random, folder: Path) -> tuple[Path, int]:
    """Write a file or folder of a format, and damage what is in it; return it and the number of its documents."""
    place = folder / ("in" if format_.folder else f"in{format_.suffixes[0]}")
    options = WriteOptions(fields=random_.choice([None, "doccano", "prodigy", "hf"]))
    written = documents(random_)
    if format_.blocks is not None:
        place.write_bytes(b"".join(format_.blocks(written, options)))
    elif format_.write is not None:
        format_.write(written, place, options)
    else:
        del written[1:]
        place.write_bytes(webanno(written[0]).encode())
    for path in [path for path in (place, *place.rglob("*")) if path.is_file()]:
        path.write_bytes(damaged(path.read_bytes(), random_))
    return place, len(written)


def webanno(document: Document) -> str:
    """Return a document as WebAnno TSV 3; a span of several tokens has a number.

    >>> print(webanno(Document(text="Anna Berg", spans=(DocumentSpan("PER", 0, 9),),
    ...                        sentences=((DocumentToken(0, 4), DocumentToken(5, 9)),))).split("#Text=")[1])
    Anna Berg
    1-1\t0-4\tAnna\t*[1]\tPER[1]\t
    1-2\t5-9\tBerg\t*[1]\tPER[1]\t
    <BLANKLINE>
    """
    lines = ["#FORMAT=WebAnno TSV 3.3", f"#T_SP={_LAYER}|identifier|value", ""]
    for n, sentence in enumerate(document.sentences or (), start=1):
        lines += ["", f"#Text={_escaped(document.text[sentence[0].start : sentence[-1].end])}"]
        for k, token in enumerate(sentence, start=1):
            start, end = (len(document.text[:edge].encode("utf-16-le")) // 2 for edge in (token.start, token.end))
            cells = [f"{n}-{k}", f"{start}-{end}", _escaped(document.covered(token)), "_", "_", ""]
            for number, span in enumerate(document.spans, start=1):
                if span.start <= token.start and token.end <= span.end:
                    is_one = (span.start, span.end) == (token.start, token.end)
                    cells[3:5] = ["*", span.type] if is_one else [f"*[{number}]", f"{span.type}[{number}]"]
            lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"[\\|\[\]*_;]", r"\\\g<0>", text)


def contents(documents_: Iterable[Document], *, tokens: bool) -> collections.Counter[tuple[str, str]]:
    """Return the spans by type and text, and the tokens or else the text of documents; blanks do not count."""
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    text = ""
    for document in documents_:
        found.update((span.type, "".join(document.covered(span).split())) for span in document.spans)
        if tokens:
            found.update(("", document.covered(token)) for token in document.tokens)
        text += "".join(document.text.split())
    if not tokens:
        found["", text] += 1
    return found


def silent_loss(place: Path, out: Path, read: Format, settings: Settings, said: list[str]) -> str | None:
    """Return what a conversion has lost without a word, or None."""
    written = named(str(settings.target))
    if not written.is_read or not all(map(_USUAL.match, said)):
        return None
    before = contents(read.read(place, settings.read), tokens=written.flat)
    if before.total() < _FEWEST:
        return None
    after = contents(written.read(out, ReadOptions()), tokens=written.flat)
    lost = before - after
    return f"{read.name} to {written.name}: {dict(lost)} is lost; said: {said}" if lost else None


def without_last_span(documents_: Iterable[Document]) -> Iterator[Document]:
    for document in documents_:
        yield dataclasses.replace(document, spans=document.spans[:-1])


@dataclasses.dataclass
class Counts:
    """The numbers of what has been tried and found."""

    rounds: int = 0
    documents: int = 0
    converted: int = 0  # documents in the files that were not refused
    tracebacks: int = 0
    losses: int = 0

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, {self.documents} documents ({self.converted} in files that were converted),"
            f" {self.tracebacks} tracebacks, {self.losses} silent losses"
        )


def rounds(names: list[str], seeds: range, counts: Counts, *, lose: bool) -> Iterator[tuple[str, int, str]]:
    """Yield the format, the seed and the traceback or the loss of each round that fails."""
    readable = [format_ for format_ in FORMATS if format_.is_read and (not names or format_.name in names)]
    targets = [format_ for format_ in FORMATS if format_.blocks is not None]
    for seed in seeds:
        counts.rounds += 1
        random_ = random.Random(seed)
        format_, target = random_.choice(readable), random_.choice(targets)
        with tempfile.TemporaryDirectory(dir=_FOLDERS) as folder:
            out, said = Path(folder, f"out{target.suffixes[0]}"), list[str]()
            try:
                place, n_documents = files(format_, random_, Path(folder))
                counts.documents += n_documents
                source = random_.choice([None, format_.name])
                settings = Settings(
                    source=source,
                    target=target.name,
                    align=random_.choice([None, "expand", "split"]),
                    overlap=random_.choice([None, "longest"]),
                    read=ReadOptions(scheme=random_.choice(["auto", "IOB2", "none"])),
                )
                convert(str(place), str(out), settings, say=said.append)
                read = named(source) if source else guess_source(place)[0]
                if lose:
                    read = dataclasses.replace(read)
                    blocks = target.blocks
                    assert blocks is not None
                    lossy = without_last_span(read.read(place, settings.read))
                    out.write_bytes(b"".join(blocks(lossy, settings.write)))
                loss = silent_loss(place, out, read, settings, said)
            except TaggerError:
                continue
            except Exception:  # what this script looks for
                counts.tracebacks += 1
                yield format_.name, seed, traceback.format_exc()
                continue
            counts.converted += n_documents
            if loss is not None:
                counts.losses += 1
                yield format_.name, seed, loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--formats", nargs="*", default=[], help="names of formats; default: all that can be read")
    parser.add_argument("--lose", action="store_true", help="lose a span in silence, which must be noticed")
    arguments = parser.parse_args()
    counts = Counts()
    seeds = range(arguments.first, arguments.first + arguments.rounds)
    for name, seed, text in rounds(arguments.formats, seeds, counts, lose=arguments.lose):
        print(f"{name}, seed {seed}:\n{text}", flush=True)
    print(counts)
    sys.exit(counts.tracebacks + counts.losses > 0)


if __name__ == "__main__":
    main()
