"""Ways to switch off one check of `tagger`, each of which a fuzzer must then notice. Used by the fuzzers."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _checksums() -> None:
    from tagger.model_dir.files import ModelFiles

    ModelFiles._compare = _nothing  # type: ignore[method-assign]


def _manifest_checksum() -> None:
    from tagger.model_dir import files

    files.is_unaltered = lambda _: True


def _graph() -> None:
    from tagger.prediction import onnx_session

    onnx_session.check_graph = _nothing


def _graph_attributes() -> None:
    from tagger.prediction import onnx_check

    original = onnx_check._node
    onnx_check._node = lambda view: original(view)._replace(attributes=_Equal())  # type: ignore[arg-type]


def _graph_domains() -> None:
    from tagger.prediction import onnx_check

    class AnyText(str):
        __hash__ = str.__hash__

        def __eq__(self, _: object) -> bool:
            return True

    original = onnx_check._node
    onnx_check._node = lambda view: original(view)._replace(domain=AnyText())


class _Equal(dict[str, Any]):
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def _graph_types() -> None:
    """Accept constants of any type with the right number of bytes."""
    from tagger.prediction import onnx_check

    kinds = ("FLOAT", "FLOAT16", "INT8", "INT32", "INT64")

    class Every(dict[int, int]):
        def __missing__(self, _: int) -> int:
            return 1

    onnx_check._ITEM_BYTES = Every(onnx_check._ITEM_BYTES)  # type: ignore[assignment]
    for kind in kinds:
        setattr(onnx_check, kind, _AnyNumber(getattr(onnx_check, kind)))
    onnx_check._TYPES = {name: _AnyNumber(kind) for name, kind in onnx_check._TYPES.items()}


class _AnyNumber(int):
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = int.__hash__


def _graph_fields() -> None:
    """Take the last of several values of a field, as protocol buffers do."""
    from tagger.prediction import onnx_check

    def lenient(fields: Any) -> Any:
        return {number: field._replace(is_repeated=True) for number, field in fields.items()}

    for name in ("_MODEL", "_OPSET", "_GRAPH", "_NODE", "_ATTRIBUTE", "_TENSOR", "_ENTRY", "_VALUE_INFO"):
        setattr(onnx_check, name, lenient(getattr(onnx_check, name)))
    onnx_check._one = lambda values, name: values[name][-1]


def _graph_locations() -> None:
    from tagger.prediction import onnx_check

    def last(message: Any, name: str) -> dict[str, str]:
        parts = [onnx_check._message(view, onnx_check._ENTRY) for view in message.get(name, [])]
        return {onnx_check._text(part, "key"): onnx_check._text(part, "value") for part in parts}

    onnx_check._entries = last


def _graph_numbers() -> None:
    from tagger.prediction import onnx_check

    def varint(view: memoryview, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            if at >= len(view):
                raise ValueError("found the end, expected more; get the file again")
            value, at, shift = value | (view[at] & 0x7F) << shift, at + 1, shift + 7
            if view[at - 1] < 0x80:
                return value & ((1 << 64) - 1), at

    onnx_check._varint = varint


def _weights() -> None:
    from tagger.model_dir import store

    store.check_shapes = _nothing


def _links() -> None:
    from tagger import filesystem

    filesystem._NO_LINKS = os.O_CLOEXEC  # a flag that lets links through


def _pipes() -> None:
    from tagger import filesystem

    filesystem._NO_WAITING = 0


def _sizes() -> None:
    from tagger.model_dir.files import ModelFiles

    def read(self: Any, name: str) -> bytes:
        content: bytes = self._read(name, lambda file: file.read())
        return content

    ModelFiles.verified = read  # type: ignore[method-assign]


def _manifest_values() -> None:
    from tagger.model_dir import manifest

    manifest._check = _nothing


def _written_delimiter() -> None:
    from tagger.corpus.layout import Layout
    from tagger.model_dir import manifest

    Layout.__post_init__ = _nothing  # type: ignore[method-assign]
    manifest.check_written_delimiter = _nothing


def _tags() -> None:
    from tagger.inputs.vocabulary import TagVocabulary
    from tagger.model_dir import store

    store._checked_tags = lambda path, tags, scheme: TagVocabulary(tags)


def _network_limits() -> None:
    from tagger import architecture
    from tagger.architecture import Range

    Range.allows = lambda self, value: type(value) is int and value > 0  # type: ignore[method-assign]
    architecture._MOST_WEIGHTS = 10**400


def _logits() -> None:
    from tagger.prediction import onnx_session

    def compute(self: Any, sentences: Any, forms: Any = None) -> Any:
        padded, lengths = onnx_session.pad(sentences)
        return self._session.run(["logits"], self._feeds(padded, lengths, forms))[0]

    onnx_session.OnnxSession.__call__ = compute  # type: ignore[method-assign]


def _finite_weights() -> None:
    np.isfinite = lambda array: np.ones_like(array, bool)  # type: ignore[assignment]


def _yaml() -> None:
    import yaml

    from tagger.config import file as config_file

    class Unsafe(yaml.UnsafeLoader):
        pass

    config_file._Loader = Unsafe  # type: ignore[assignment,misc]


def _aliases() -> None:
    from tagger.config import file as config_file

    config_file._check_size = _nothing


def _config_size() -> None:
    from tagger.config import file as config_file

    config_file._LARGEST = 1 << 24


def _paths() -> None:
    from tagger.config import loading

    loading.check_path = _nothing


def _text() -> None:
    from tagger.corpus import lines

    lines.recognize = _nothing


def _gzip_damage() -> None:
    from tagger.corpus import lines

    def read(self: Any, size: int) -> bytes:
        try:
            block: bytes = self._stream.read1(size)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return b""
        self._look_at(block)
        return block

    lines._Content._read = read  # type: ignore[method-assign]


def _gzip_name() -> None:
    from pathlib import Path

    from tagger.corpus import lines

    original = lines.open_corpus

    def open_corpus(path: Any) -> BinaryIO:
        if Path(path).stat().st_size == 0:
            return Path(path).open("rb")
        return original(path)

    lines.open_corpus = open_corpus


def _vector_size() -> None:
    from tagger.vectors import text

    text._MOST_RATIO = text._ALWAYS_UNPACKED = 1 << 50


def _vector_type() -> None:
    def load(path: Any, mode: str) -> Any:
        del mode
        return np.load(path, allow_pickle=True)

    np.lib.format.open_memmap = load


def _network_access() -> None:
    import socket

    from tagger.config import loading

    original = loading.read_yaml

    def read_and_call_home(path: Any, sections: Any) -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", 9))
        return original(path, sections)

    loading.read_yaml = read_and_call_home


# --- Of `fuzz_conll.py` ----------------------------------------------------------------------------------------------


def _bytes() -> None:
    from tagger.prediction import stream

    original = stream.write_sentence
    stream.write_sentence = lambda *given, **more: original(*given, **more).replace(b"\r\n", b"\n")


def _encodable() -> None:
    from tagger.prediction import stream

    stream._check_encodable = _nothing


def _repairs() -> None:
    from tagger.corpus.layout import Layout

    def replace_everywhere(self: Layout, body: bytes, old: str, new: str) -> bytes:
        return body.replace(old.encode(self.encoding), new.encode(self.encoding))

    Layout.replace_tag = replace_everywhere  # type: ignore[method-assign]


def _missing_columns() -> None:
    from tagger.corpus import conll

    conll._Reader._tag = lambda self, fields, number: fields[-1] if self._gold else ""  # type: ignore[method-assign]


def _encodings() -> None:
    from tagger.corpus import layout

    layout.check_encoding = _nothing


# --- Of `attack.py` --------------------------------------------------------------------------------------------------


def _publishing() -> None:
    from pathlib import Path

    from tagger.model_dir import store

    def write_in_place(target: Path, files: Any, *, check: Any = None) -> None:
        del check
        target.mkdir(exist_ok=True)
        for name, content in files.items():
            (target / name).write_bytes(content)

    store.publish_directory = write_in_place


# The promises of SECURITY.md, and what else a model or a file must not do: name → (what is switched off, how).
MODELS: dict[str, Callable[[], None]] = {
    "checksums": _checksums,
    "manifest checksum": _manifest_checksum,
    "graph": _graph,
    "graph: attributes": _graph_attributes,
    "graph: domains": _graph_domains,
    "graph: types": _graph_types,
    "graph: fields twice": _graph_fields,
    "graph: two locations": _graph_locations,
    "graph: long numbers": _graph_numbers,
    "weights": _weights,
    "finite weights": _finite_weights,
    "finite logits": _logits,
    "links": _links,
    "pipes": _pipes,
    "sizes": _sizes,
    "manifest values": _manifest_values,
    "written delimiter": _written_delimiter,
    "tags": _tags,
    "network limits": _network_limits,
    "safe YAML": _yaml,
    "aliases": _aliases,
    "config size": _config_size,
    "config paths": _paths,
    "text": _text,
    "gzip damage": _gzip_damage,
    "empty gzip": _gzip_name,
    "vector size": _vector_size,
    "vector type": _vector_type,
    "network access": _network_access,
}
INPUTS: dict[str, Callable[[], None]] = {
    "bytes": _bytes,
    "encodable tags": _encodable,
    "repairs": _repairs,
    "missing columns": _missing_columns,
    "encodings": _encodings,
}
PROCESSES: dict[str, Callable[[], None]] = {"publishing": _publishing}
SWITCHES = MODELS | INPUTS | PROCESSES
