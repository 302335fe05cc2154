"""Each file in `golden/` shows one special case: the input and the exact output, byte for byte.

A golden file begins with lines that describe the case. Sections follow:

    === model          layout of the model's training file, as JSON (optional)
    === flags          the command line; with a word `input.conll` the input is that file, otherwise standard input
    === input          the input's bytes
    === file NAME      the bytes of a further file (optional)
    === output         standard output; must be empty if the section is absent
    === error          the first lines of standard error; it must be empty if the section is absent
    === exit           the exit code; the default is 1 with an `error` section, otherwise 0
    === written NAME   the bytes of a file that the command writes (optional)

Escapes stand for all invisible bytes, line ends included; the line ends of the section itself have no meaning. The
escapes are `\\t`, `\\r`, `\\n`, `\\xNN` (a byte), `\\uNNNN` and `\\UNNNNNNNN` (a character in UTF-8) and `\\\\`. Golden
files are written by hand; nothing here updates them.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import shlex
from pathlib import Path

import pytest
from helpers import run_tagger
from stub_model import TAGS, stub_manifest, stub_model

from tagger.corpus.layout import Layout

GOLDEN = Path(__file__).parent / "golden"
_ESCAPES = {"t": b"\t", "r": b"\r", "n": b"\n", "\\": b"\\"}
_ESCAPE = re.compile(r"\\(?:([trn\\])|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def decoded(lines: list[str]) -> bytes:
    """Return the bytes that the lines of a section represent."""
    found = b""
    for line in lines:
        end = 0
        for match in _ESCAPE.finditer(line):
            found += literal(line[end : match.start()])
            simple, byte, short, long = match.groups()
            found += (
                _ESCAPES[simple] if simple else bytes.fromhex(byte) if byte else chr(int(short or long, 16)).encode()
            )
            end = match.end()
        found += literal(line[end:])
    return found


def literal(text: str) -> bytes:
    assert text.isprintable(), f"{text!r} holds invisible characters that must be escaped"
    assert "\\" not in text, f"{text!r} holds an unknown escape"
    return text.encode()


def readable(data: bytes) -> list[str]:
    """Return bytes in the form of a section, with one string for each line."""
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", data)
    return ["".join(map(shown, line.decode("utf-8", "surrogateescape"))) for line in lines]


def shown(character: str) -> str:
    special = {"\t": r"\t", "\r": r"\r", "\n": r"\n", "\\": "\\\\"}
    if character in special or character.isprintable():
        return special.get(character, character)
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"


@dataclasses.dataclass(frozen=True)
class Golden:
    purpose: str
    sections: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Golden:
        sections: dict[str, list[str]] = {}
        lines = sections[""] = []
        for line in path.read_text("utf-8").split("\n"):
            if line.startswith("=== "):
                lines = sections[line[4:]] = []
            elif line:
                assert line == line.rstrip(" "), f"{line!r} ends with a blank that must be escaped"
                lines.append(line)
        return cls(" ".join(sections.pop("")), sections)

    def bytes_of(self, section: str) -> bytes:
        return decoded(self.sections.get(section, []))

    def named(self, kind: str) -> dict[str, bytes]:
        return {name.split()[1]: self.bytes_of(name) for name in self.sections if name.startswith(f"{kind} ")}


def differences(expected: bytes, found: bytes) -> str:
    """Return a diff that shows every byte; it is empty if the bytes are equal."""
    return "\n".join(difflib.unified_diff(readable(expected), readable(found), "expected", "found", lineterm="", n=2))


def check_equal(what: str, expected: bytes, found: bytes) -> None:
    if expected != found:
        pytest.fail(f"{what}:\n{differences(expected, found)}", pytrace=False)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_golden(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = Golden.read(path)
    assert golden.purpose, "a golden file must begin with a description of its case"
    folder = tmp_path / "here"  # the folder's name occurs in messages
    folder.mkdir()
    monkeypatch.chdir(folder)
    (arguments,) = golden.sections["flags"]
    words = shlex.split(decoded([arguments]).decode())
    files = {"input.conll": golden.bytes_of("input")} if "input" in golden.sections else {}
    for name, content in (files | golden.named("file")).items():
        Path(name).write_bytes(content)
    model = {"n_columns": 2, "known_tags": TAGS} | json.loads("".join(golden.sections.get("model", ["{}"])))
    layout = Layout(**{**model, "known_tags": frozenset(model["known_tags"])})
    with stub_model(stub_manifest(layout)):
        result = run_tagger(*words, stdin=b"" if "input.conll" in words else golden.bytes_of("input"))
    assert "Traceback" not in result.errors
    check_equal("standard output", golden.bytes_of("output"), result.output)
    expected_error = golden.bytes_of("error")
    n_lines = len(readable(expected_error)) or None  # compare all lines if none is expected
    errors = b"".join(result.errors.encode().splitlines(keepends=True)[:n_lines])
    check_equal("standard error", expected_error, errors)
    exit_code = int("".join(golden.sections.get("exit", [])) or bool(expected_error))
    assert result.exit_code == exit_code
    for name, content in golden.named("written").items():
        check_equal(name, content, Path(name).read_bytes())


def test_escapes_are_decoded_to_bytes() -> None:
    assert decoded([r"a\tb\r\n", r"\\n\x00\xff\u3000\U0001f469é"]) == b"a\tb\r\n\\n\x00\xff" + "\u3000👩é".encode()
    data = "a\tb\\ \u3000\u200d👩é\r\n\0\r".encode() + b"\xff\xfe\n"
    assert decoded(readable(data)) == data


def test_a_failure_shows_every_different_byte() -> None:
    assert differences(b"a\tO\r\n\n", b"a\tO\r\n\n") == ""
    shown_differences = differences(b"a\tO\r\nb \xff\n", b"a\tO\nb \xff\n").split("\n")
    assert shown_differences[3:] == [r"-a\tO\r\n", r"+a\tO\n", r" b \xff\n"]
