"""Tagging of the documents of many requests together, into the records of `tagger predict --format jsonl`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from tagger.errors import DataError
from tagger.formats.document import Document, WriteOptions
from tagger.formats.jsonl import FORMAT
from tagger.formats.tokenizing import tokenized
from tagger.formats.tokens import joined
from tagger.prediction.documents import Found, Thresholds
from tagger.prediction.predictor import TaggedSentence
from tagger.server.models import Loaded
from tagger.server.refusals import RefusedError
from tagger.server.requests import Item, TagRequest

_SCORES = "scores"  # the field of a record for the probabilities of its tags


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A request whose documents have tokens.

    Attributes:
        request: the request.
        documents: its documents.
        rows: the tokens of each of their sentences.
        n_tokens: the number of these tokens.
    """

    request: TagRequest
    documents: list[Document]
    rows: list[Sequence[str]]
    n_tokens: int


def prepare(request: TagRequest, loaded: Loaded) -> Job:
    """Cut the texts of a request into tokens.

    Raises:
        RefusedError: the request has a text, and the server has no tokenizer for it.
    """
    documents, rows = list[Document](), list[Sequence[str]]()
    for item in request.items:
        document = _document(item, loaded)
        documents.append(document)
        if item.tokens is not None:
            rows.append(item.tokens)
        else:
            rows += [[document.covered(token) for token in tokens] for tokens in document.sentences or ()]
    return Job(request, documents, rows, sum(map(len, rows)))


def _document(item: Item, loaded: Loaded) -> Document:
    named = {} if item.id is None else {"id": str(item.id), "fields": {"id": item.id}}
    if item.tokens is not None:
        text, sentences = joined([item.tokens])
        return Document(text=text, sentences=sentences, **named)  # type: ignore[arg-type]
    if loaded.tokenizer is None:
        message = "text: this server cannot cut text into tokens; send tokens, or ask its operator for the extra `text`"
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, message)
    return tokenized(Document(text=item.text or "", **named), loaded.tokenizer)  # type: ignore[arg-type]


def tag(loaded: Loaded, jobs: Sequence[Job]) -> list[bytes]:
    """Return the answer to each job, of which all sentences are tagged together."""
    tagged = iter(loaded.predictor.tag([row for job in jobs for row in job.rows], spans=True))
    return [_answer(loaded, job, tagged) for job in jobs]


def _answer(loaded: Loaded, job: Job, tagged: Iterator[TaggedSentence]) -> bytes:
    least = job.request.min_probability
    found = Found(loaded.predictor, loaded.thresholds if least is None else Thresholds(general=least))
    placed = (_placed(document, found, tagged, scores=job.request.scores) for document in job.documents)
    # A record ends in a line end.
    if job.request.is_many:
        return b'{"documents":[%s]}\n' % b",".join(record[:-1] for record in _records(placed, loaded.options))
    return b"".join(_records(placed, loaded.options))


def _records(documents: Iterator[Document], options: WriteOptions) -> Iterator[bytes]:
    assert FORMAT.blocks is not None  # noqa: S101 (this format has it)
    return iter(FORMAT.blocks(documents, options))


def _placed(document: Document, found: Found, tagged: Iterator[TaggedSentence], *, scores: bool) -> Document:
    """Return a document with the tags or the spans of its sentences, which are the next ones of `tagged`."""
    sentences = document.sentences or ()
    of_it = list(itertools.islice(tagged, len(sentences)))
    pairs = [found.place(one, tokens) for one, tokens in zip(of_it, sentences, strict=True)]
    fields = dict(document.fields)
    if scores:
        fields[_SCORES] = [one.probabilities for one in of_it]
    return dataclasses.replace(
        document,
        sentences=tuple(tokens for tokens, _ in pairs),
        spans=tuple(itertools.chain.from_iterable(spans for _, spans in pairs)),
        fields=fields,
    )


def warm_up(loaded: Loaded) -> None:
    """Tag a sentence, so that a model that cannot is never put into service.

    Raises:
        ModelError: the network failed.
        DataError: the answer cannot be written.
    """
    item = Item(None, None, ["Ann", "left", "."])
    tag(loaded, [prepare(TagRequest((item,), False, None, None, False), loaded)])
    if loaded.tokenizer is not None and not list(loaded.tokenizer.sentences("Ann left.")):
        raise DataError("the tokenizer found no tokens in a text, expected some; reinstall the extra text")
