"""The description of the interface in OpenAPI 3.1, which `GET /openapi.json` answers."""

from __future__ import annotations

from typing import Any

from tagger import __version__
from tagger.server.settings import Limits

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_PLACE: Schema = {"type": "integer", "minimum": 0}
_REFUSALS = {
    "400": "The body is not JSON, or the request is malformed.",
    "403": "The request comes from another website.",
    "404": "There is no model of the name.",
    "408": "The request was sent too slowly.",
    "413": "There are too many bytes, documents or tokens.",
    "415": "The content type is not application/json.",
    "421": "The host is not one of this server's names.",
    "422": "The JSON is not such a request, or this server has no tokenizer for text.",
    "429": "The server is full; Retry-After says when to try again.",
    "431": "The headers are too large.",
    "503": "The server could not tag the request in time; Retry-After says when to try again.",
}


def description(limits: Limits) -> Schema:
    """Return the whole description.

    Args:
        limits: the bounds that the server has.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "tagger", "version": __version__, "description": "Tags tokens or text with trained models."},
        "paths": {
            "/v1/tag": {"post": _tag(limits)},
            "/v1/models": {"get": _get("Describe the models.", "application/json", _ref("Models"))},
            "/healthz": {"get": _get("Say that the process answers.", "application/json", _ref("Status"))},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _get("Return metrics for Prometheus.", "text/plain", _TEXT)},
            "/openapi.json": {"get": _get("Return this description.", "application/json", {"type": "object"})},
            "/": {"get": _get("Return a page to try the models.", "text/html", _TEXT)},
        },
        "components": {"schemas": _schemas(limits)},
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(media_type: str, schema: Schema) -> Schema:
    return {"content": {media_type: {"schema": schema}}}


def _get(summary: str, media_type: str, schema: Schema) -> Schema:
    return {"summary": summary, "responses": {"200": {"description": "Done.", **_content(media_type, schema)}}}


def _ready() -> Schema:
    found = _get("Say whether the server takes requests.", "application/json", _ref("Status"))
    closing = {"description": "The server is stopping.", **_content("application/json", _ref("Status"))}
    return found | {"responses": {**found["responses"], "503": closing}}


def _tag(limits: Limits) -> Schema:
    answers: Schema = {
        status: {"description": text, **_content("application/json", _ref("Error"))}
        for status, text in _REFUSALS.items()
    }
    tagged = {"oneOf": [_ref("Record"), _ref("Records")]}
    answers["200"] = {"description": "The tagged documents.", **_content("application/json", tagged)}
    body = {"oneOf": [_ref("One"), _ref("Many")]}
    return {
        "summary": "Tag tokens or text.",
        "description": f"A body has at most {limits.body} bytes.",
        "requestBody": {"required": True, **_content("application/json", body)},
        "responses": answers,
    }


def _strict(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _schemas(limits: Limits) -> Schema:
    nullable_text, identity = {"type": ["string", "null"]}, {"type": ["string", "integer", "null"]}
    either = {"oneOf": [{"required": ["text"]}, {"required": ["tokens"]}]}
    source: Schema = {
        "id": {**identity, "description": "A name, which the answer repeats."},
        "text": {**_TEXT, "description": "A text, which the server cuts into sentences and tokens."},
        "tokens": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "maxItems": limits.tokens,
            "description": "The tokens of one sentence.",
        },
    }
    options: Schema = {
        "model": {**nullable_text, "description": "The name of a model; the first one if it is absent."},
        "min_probability": {
            "oneOf": [_PROBABILITY, {"type": "null"}],
            "description": "The lowest probability of the spans to return; what the model stores if it is absent.",
        },
        "scores": {"type": "boolean", "description": "Whether to return the probability of each tag."},
    }
    documents = {"type": "array", "items": _ref("Document"), "maxItems": limits.documents}
    return {
        "Document": _strict(source) | either,
        "One": _strict(source | options) | either,
        "Many": _strict({"documents": documents, **options}, ("documents",)),
        "Record": _record(),
        "Records": _strict({"documents": {"type": "array", "items": _ref("Record")}}, ("documents",)),
        "Models": _models(),
        "Status": _strict({"status": {"enum": ["ok", "ready", "closing"]}}, ("status",)),
        "Error": _strict({"error": _strict({"status": _PLACE, "message": _TEXT}, ("status", "message"))}, ("error",)),
    }


def _record() -> Schema:
    """Return the schema of a line of `tagger predict --format jsonl`."""
    pair = {"type": "array", "prefixItems": [_PLACE, _PLACE], "minItems": 2, "maxItems": 2}
    texts = {"type": "array", "items": _TEXT}
    sentence = _strict(
        {"tokens": texts, "offsets": {"type": "array", "items": pair}, "tags": texts}, ("tokens", "offsets")
    )
    span = _strict(
        {"start": _PLACE, "end": _PLACE, "type": _TEXT, "text": _TEXT, "probability": _PROBABILITY},
        ("start", "end", "type", "text"),
    )
    scores = {"type": "array", "items": {"type": "array", "items": _PROBABILITY}}
    return _strict(
        {
            "id": {"type": ["string", "integer"]},
            "text": _TEXT,
            "scheme": _TEXT,
            "sentences": {"type": "array", "items": sentence},
            "spans": {"type": "array", "items": span},
            "scores": scores,
        },
        ("text", "sentences", "spans"),
    )


def _models() -> Schema:
    texts = {"type": "array", "items": _TEXT}
    model = _strict(
        {
            "name": _TEXT,
            "version": {**_TEXT, "description": "The checksum of the model."},
            "types": texts,
            "tags": texts,
            "scheme": {"type": ["string", "null"]},
            "language": {"type": ["string", "null"]},
            "text": {"type": "boolean", "description": "Whether requests may have text instead of tokens."},
            "dev": {"type": "object", "additionalProperties": {"type": "number"}},
            "tagger": _TEXT,
        },
        ("name", "version", "types", "tags", "scheme", "language", "text", "dev", "tagger"),
    )
    return _strict({"default": _TEXT, "models": {"type": "array", "items": model}}, ("default", "models"))
