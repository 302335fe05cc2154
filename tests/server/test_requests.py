"""Bodies that are refused: each with its status, and with a message that says what was found."""

from __future__ import annotations

import json
import time

import pytest
from serving import Served

from tagger.server.refusals import RefusedError
from tagger.server.requests import parse
from tagger.server.settings import Limits

LIMITS = Limits(documents=3, tokens=10)
HOSTILE = {
    b"": (400, "not valid JSON"),
    b"{": (400, "not valid JSON"),
    b'{"text": "a"} x': (400, "extra data"),
    b'\xef\xbb\xbf{"text": "a"}': (400, "not valid JSON"),
    b'{"text": "\xff"}': (400, "not UTF-8: found the byte 0xFF at 10"),
    b'{"text": "\x00"}': (400, "not valid JSON"),
    b'{"text": "a", "text": "b"}': (400, "the key 'text' twice"),
    b'{"text": "a", "min_probability": NaN}': (400, "found NaN"),
    b'{"text": "a", "min_probability": -Infinity}': (400, "found -Infinity"),
    b'{"text": "a", "min_probability": 1e999}': (400, "found 1e999"),
    b'{"id": %s, "text": "a"}' % (b"9" * 5000): (400, "thousands of digits"),
    b'{"text": "\\ud800"}': (400, "half of a surrogate pair"),
    b'{"tokens": ["\\udfff"]}': (400, "half of a surrogate pair"),
    b"[" * 100_000: (400, "nested too deeply"),
    b'{"a":' * 100_000: (400, "nested too deeply"),
    b'{"text": "a\\u0000b"}': (422, "U+0000"),
    b'{"tokens": ["a", "\\u0000"]}': (422, "U+0000"),
    b"[]": (422, "the body: found a list"),
    b"null": (422, "the body: found null"),
    b"7": (422, "the body: found a number"),
    b'"text"': (422, "the body: found a string"),
    b"{}": (422, "neither of text and tokens"),
    b'{"text": "a", "tokens": ["a"]}': (422, "both of text and tokens"),
    b'{"text": null}': (422, "text: found null"),
    b'{"tokens": "a b"}': (422, "tokens: found a string"),
    b'{"tokens": [["a"]]}': (422, "token 0: found a list"),
    b'{"tokens": ["a", 1]}': (422, "token 1: found a number"),
    b'{"tokens": ["a", ""]}': (422, "token 1: found no character"),
    b'{"text": "a", "id": 1.5}': (422, "id: found a number"),
    b'{"text": "a", "id": true}': (422, "id: found true or false"),
    b'{"text": "a", "id": 9007199254740993}': (422, "id: found a number"),
    b'{"text": "a", "id": "%s"}' % (b"x" * 1001): (422, "id: found a string"),
    b'{"text": "a", "model": 1}': (422, "model: found a number"),
    b'{"text": "a", "min_probability": 1.1}': (422, "min_probability"),
    b'{"text": "a", "min_probability": true}': (422, "min_probability"),
    b'{"text": "a", "scores": 1}': (422, "scores: found a number"),
    b'{"text": "a", "labels": []}': (422, "the field 'labels'"),
    b'{"documents": {}}': (422, "documents: found an object"),
    b'{"documents": [1]}': (422, "document 0: found a number"),
    b'{"documents": [{"text": "a"}, {"text": "a", "model": "m"}]}': (422, "document 1: found the field 'model'"),
    b'{"documents": [], "text": "a"}': (422, "the field 'text'"),
    b'{"documents": [{"text": ""}, {"text": ""}, {"text": ""}, {"text": ""}]}': (413, "4 documents"),
    json.dumps({"tokens": ["a"] * 11}).encode(): (413, "11 tokens"),
    json.dumps({"documents": [{"tokens": ["a"] * 6}, {"tokens": ["a"] * 6}]}).encode(): (413, "12 tokens"),
}


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:40].decode("latin-1"))
def test_it_is_refused(body: bytes) -> None:
    status, message = HOSTILE[body]
    with pytest.raises(RefusedError) as caught:
        parse(body, LIMITS)
    assert (caught.value.status, message in caught.value.message) == (status, True), caught.value.message


def test_what_is_allowed_is_kept() -> None:
    found = parse(
        '{"documents": [{"id": null, "text": "é\\ud83d\\ude00"}, {"id": "", "tokens": [" "]}], "model": null,'
        ' "min_probability": 1, "scores": true}'.encode(),
        LIMITS,
    )
    assert [(item.id, item.text, item.tokens) for item in found.items] == [(None, "é😀", None), ("", None, [" "])]
    assert (found.is_many, found.model, found.min_probability, found.scores) == (True, None, 1, True)


def test_many_keys_are_refused_quickly() -> None:
    """Comparing each key with each other one would take minutes, in which nobody else were served."""
    keys = ",".join(f'"{i}":0' for i in range(100_000))
    since = time.perf_counter()
    with pytest.raises(RefusedError, match="twice"):
        parse(f'{{{keys},"99999":0}}'.encode(), LIMITS)
    assert time.perf_counter() - since < 5


def test_a_server_refuses_them_too_and_stays(served: Served) -> None:
    for body, (status, message) in HOSTILE.items():
        if status != 413:  # this server allows more
            found = served.post(body)
            assert (found.status, message in found.json["error"]["message"]) == (status, True), body[:40]
    assert served.tag({"tokens": ["a"] * 50_001}).status == 413
    assert served.tag({"documents": [{"tokens": []}] * 1001}).status == 413
    assert served.tag({"tokens": ["a"] * 1_000_000}).status == 413, "its body is too large"
    assert served.tag({"text": "a " * 60_000}).status in (413, 422), "422 without the extra text"
    assert served.tag({"tokens": ["a"]}).status == 200
