"""The body of `POST /v1/tag`, of which everything is checked before anything is tagged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tagger.formats.json_text import value_of
from tagger.server.refusals import RefusedError
from tagger.server.settings import Limits

_OPTIONS = frozenset(("model", "min_probability", "scores"))
_OF_DOCUMENT = frozenset(("id", "text", "tokens"))
_LONGEST_ID = 1000
_LARGEST_ID = 2**53  # larger ones are not exact in JavaScript


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A document to tag: either a text or the tokens of a sentence."""

    id: str | int | None
    text: str | None
    tokens: list[str] | None


@dataclasses.dataclass(frozen=True, slots=True)
class TagRequest:
    """The documents of a request, and how they are tagged.

    Attributes:
        items: the documents.
        is_many: whether they came as a list, so that the answer is one too.
        model: the name of the model, or None for the first one.
        min_probability: the lowest probability of the spans that are returned; None for what the model stores.
        scores: whether to return the probability of each tag.
    """

    items: tuple[Item, ...]
    is_many: bool
    model: str | None
    min_probability: float | None
    scores: bool


def parse(body: bytes, limits: Limits) -> TagRequest:
    """Return the request in a body.

    Raises:
        RefusedError: it is not JSON (400), or not such a request (422), or has too many documents or tokens (413).
    """
    try:
        value = value_of(body.decode())
    except UnicodeDecodeError as error:
        raise _malformed(f"the body is not UTF-8: found the byte 0x{body[error.start]:02X} at {error.start}") from None
    except ValueError as error:
        raise _malformed(f"the body: {error}") from None
    fields = _object(value, "the body")
    is_many = "documents" in fields
    _refuse_unknown(fields, _OPTIONS | (frozenset(("documents",)) if is_many else _OF_DOCUMENT), "the body")
    values = _documents(fields["documents"], limits) if is_many else [fields]
    items = tuple(_item(value, f"document {i}" if is_many else "the body") for i, value in enumerate(values))
    n_tokens = sum(len(item.tokens) for item in items if item.tokens is not None)
    if n_tokens > limits.tokens:
        raise too_many_tokens(n_tokens, limits)
    return TagRequest(items, is_many, _model(fields), _min_probability(fields), _scores(fields))


def too_many_tokens(found: int, limits: Limits) -> RefusedError:
    """Return the refusal of a request with more tokens than are allowed."""
    message = f"found {found} tokens, expected at most {limits.tokens}; send several requests"
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def _malformed(message: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, message)


def _unfit(message: str) -> RefusedError:
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, message)


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(f'{what}: found {_kind(value)}, expected an object such as {{"text": "Ann left."}}')
    return value


def _documents(value: Any, limits: Limits) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise _unfit(f"documents: found {_kind(value)}, expected a list of objects")
    if len(value) > limits.documents:
        message = f"found {len(value)} documents, expected at most {limits.documents}; send several requests"
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    for i, one in enumerate(value):
        _refuse_unknown(_object(one, f"document {i}"), _OF_DOCUMENT, f"document {i}")
    return value


def _refuse_unknown(fields: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    if not fields.keys() <= known:
        unknown = next(name for name in fields if name not in known)
        raise _unfit(f"{what}: found the field {unknown[:80]!r}, expected only {', '.join(sorted(known))}")


def _item(fields: Mapping[str, Any], what: str) -> Item:
    """Return one document."""
    text, tokens = fields.get("text"), fields.get("tokens")
    if ("text" in fields) == ("tokens" in fields):
        found = "both" if "text" in fields else "neither"
        raise _unfit(f"{what}: found {found} of text and tokens, expected one of the two")
    if "text" in fields:
        if not isinstance(text, str):
            raise _unfit(f"{what}: text: found {_kind(text)}, expected a string")
        _refuse_nul(text, f"{what}: text")
    else:
        _check_tokens(tokens, what)
    return Item(_id(fields.get("id"), what), text, tokens)


def _check_tokens(tokens: Any, what: str) -> None:
    if not isinstance(tokens, list):
        raise _unfit(f"{what}: tokens: found {_kind(tokens)}, expected a list of strings")
    if not set(map(type, tokens)) <= {str}:
        wrong = next(i for i, token in enumerate(tokens) if type(token) is not str)
        raise _unfit(f"{what}: token {wrong}: found {_kind(tokens[wrong])}, expected a string")
    if not all(tokens):
        raise _unfit(f"{what}: token {tokens.index('')}: found no character, expected at least one")
    _refuse_nul("".join(tokens), f"{what}: tokens")


def _refuse_nul(text: str, what: str) -> None:
    if "\0" in text:
        raise _unfit(f"{what}: found the character U+0000, expected text without it; remove it")


def _id(value: Any, what: str) -> str | int | None:
    fits_text = type(value) is str and len(value) <= _LONGEST_ID
    fits_number = type(value) is int and abs(value) <= _LARGEST_ID
    if value is not None and not fits_text and not fits_number:
        raise _unfit(
            f"{what}: id: found {_kind(value)}, expected a string of at most {_LONGEST_ID} characters, or a whole"
            " number up to 2^53"
        )
    return value  # type: ignore[no-any-return]


def _model(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("model")
    if value is not None and type(value) is not str:
        raise _unfit(f"model: found {_kind(value)}, expected the name of a model; GET /v1/models lists them")
    return value


def _min_probability(fields: Mapping[str, Any]) -> float | None:
    value = fields.get("min_probability")
    if value is not None and (type(value) not in (int, float) or not 0 <= value <= 1):
        raise _unfit("min_probability: expected a number from 0 to 1")
    return value


def _scores(fields: Mapping[str, Any]) -> bool:
    value = fields.get("scores", False)
    if type(value) is not bool:
        raise _unfit(f"scores: found {_kind(value)}, expected true or false")
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
