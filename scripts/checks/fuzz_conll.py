"""Feed malformed inputs to predict, eval and check, using the tests' stub model, to find crashes and lost bytes.

    python scripts/checks/fuzz_conll.py --inputs 200000 --seed 1

Each input depends only on the seed and its number. Violations are: an exception that is not an error for the user, an
exit code other than 0, 1 and 2, an error message of several lines, a predicted file that is not the input with one more
column, and a repaired file that differs where nothing was repaired. The first violation is printed with its input in
hexadecimal and ends the run with exit code 1; `--first N --inputs 1` repeats it.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import io
import json
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from helpers import run_tagger
from stub_model import TAGS, stub_manifest, stub_model, stub_predictor
from switches import INPUTS

from tagger.architecture import Decoder, NetworkSpec
from tagger.check.files import CheckSettings, check_file
from tagger.check.repair import repaired
from tagger.cli.options import parse_columns
from tagger.cli.reports import format_check, format_report
from tagger.corpus import encodings, lines
from tagger.corpus.layout import BLANKS, DOCSTART, Layout
from tagger.corpus.lines import read_lines
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import SCHEMES
from tagger.errors import TaggerError
from tagger.evaluation.evaluate import evaluate_file
from tagger.inputs.vocabulary import TagVocabulary
from tagger.prediction import stream
from tagger.prediction.predictor import Predictor
from tagger.prediction.stream import tag_conll

_ENOUGH = 500  # inputs after which each command must have accepted one
_VIA_COMMAND_LINE = 500  # one in this many inputs also goes through click, with a file

# fmt: off
TOKENS = ["EU", "German", "Peter", "Blackburn", "New York", "a", "#", "0", '"', "|", "||", "\u3000", "\u00a0", "日本",
          "e\u0301", "👩\u200d👩\u200d👧", "שלום", "a\0b", "\0", "\ufeff", "\u2028", "\x85", "\x0b", "\x0c", "\x1c",
          "\x1b[31m", "-DOCSTART-", "-DOCSTART", "B-PER", "O", "\\", "x" * 300, "%s{0}", "\ufffe", "\U0010ffff"]
FILE_TAGS = [*TAGS, *TAGS, "O", "O", "O", "0", "o", "B", "I", "S", "E-PER", "S-PER", "L-LOC", "U-LOC", "M-X", "b-per",
             "B_PER", "B.PER", "I-", "B-", "-", "PER", "NN", "B--X", "B-PER-X", "X-PER", "_", "", " ", "\u3000", "#",
             "B-日本"]
DELIMITERS = ["\t", "\t", "\t", " ", " ", "  ", "\t\t", " \t", "|", "||", ",", "\u3000", ""]
ENDS = ["\n", "\n", "\n", "\n", "\r\n", "\r", "", "\n\n", "\r\r", "\n\r", "\n \n", "\n\t\n", "\x0b", "\u2028"]
OTHER_LINES = ["# comment\n", "#\n", "\n", " \n", "\t\n", "\r\n", "-DOCSTART-\tO\n", "#\tO\n", "-DOCSTART-\r"]
FRAGMENTS = [b"\xff", b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xfe\xff",
             b"\0", b"\x1a", b"\r", b"\n", b"\t", b" ", b"\xa4\xc7", b"\x8e", b"\x8f\xa2", b"\x81\x5c", b"\x81\x7c",
             b"\x87\x90", b"\x84\x31\xa4\x37", b"#", b"# ", b"-DOCSTART-", b"-DOCSTART- O\n\n", b"\n\n\n\n",
             b"\r\n\r\n", b"O", b"B-PER", b"I-PER"]
# Sensible values, and values that are usually errors. The latter are rare, or else every input would be refused.
ENCODINGS = ["utf-8"] * 6 + ["latin-1", "cp1252", "ascii", "euc_jp", "shift_jis", "cp932", "gb18030", "big5", "euc_kr"]
ODD_ENCODINGS = ["utf-8-sig", "utf-16", "utf-7", "cp037", "klingon", "zip", "idna", "unicode_escape", "hz", "johab", ""]
COLUMNS = ["token=0,tag=-1"] * 4 + ["token=0", "token=0,tag=1", "token=1,tag=0", " token = 0 , tag = 1 "]
ODD_COLUMNS = ["token=1", "token=2,tag=0", "token=1,tag=-1", "token=0,tag=-2", "token=0,tag=-99", "token=7", "tag=0",
               "token=0,tag=0", "token=-1", "token=99999999999999999999", "token", "", "token=0,token=1", "x=1"]
SEPARATORS = ["auto"] * 6 + ["tab", "space", "|", "||", ","]
ODD_SEPARATORS = [" ", "  ", "\t", "\u3000", "", "a\nb", "\r", "#", "O", "\ufeff", "é", "-", "\0", "\t "]
COMMENTS = [None, None, "#", "#"]
ODD_COMMENTS = ["# ", "%", "-DOCSTART-", "", "\n", "E", " ", "\t", "\ufeff", "日"]
SCHEMES_GIVEN = ["auto", "auto", "auto", "IOB1", "IOB2", "IOBES", "BILOU", "IO", "none"]
# fmt: on
_ODD = 0.07
NOTATIONS = [
    Notation(scheme="IOB2"),
    Notation(scheme="IOB2", outside="0", separator="_", prefixes={"B": "b", "I": "i"}),
    Notation(scheme="IOB1"),
    Notation(scheme="IOBES", prefixes={"I": "M"}),
    Notation(scheme="BILOU", outside="o"),
    Notation(scheme="IO", bare=True),
    Notation(scheme="IOB2", typed=False),
]
PREDICTORS = [
    stub_predictor(stub_manifest(notation=notation, max_length=max_length, network=NetworkSpec(decoder=decoder)))
    for notation, max_length, decoder in zip(
        NOTATIONS,
        [512, 512, 1, 3, 8, 16, 512],
        [
            Decoder.CONSTRAINED,
            Decoder.CONSTRAINED,
            Decoder.SOFTMAX,
            Decoder.CONSTRAINED,
            Decoder.SOFTMAX,
            Decoder.CONSTRAINED,
            Decoder.SOFTMAX,
        ],
        strict=True,
    )
]


# One more model, whose tags few encodings can represent.
FOREIGN_TAGS = tuple(tag.replace("PER", "日本") for tag in TAGS)
PREDICTORS.append(
    Predictor(dataclasses.replace(PREDICTORS[0].model, tags=TagVocabulary(FOREIGN_TAGS)))  # with the same logits
)


class Violation(Exception):  # noqa: N818
    """A result that must not occur."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One input and the way it is read."""

    command: str  # predict | eval | check
    data: bytes
    columns: str
    delimiter: str
    encoding: str | None
    comments: str | None
    scheme: str
    scores: bool
    line_buffered: bool
    repair: bool
    predictor: int
    piece_lines: int
    block: int


# --- Inputs ----------------------------------------------------------------------------------------------------------


def make_case(seed: int, number: int) -> Case:
    """Make input `number` of a seed."""
    rng = random.Random(f"{seed}/{number}")
    command = rng.choice(["predict", "predict", "predict", "eval", "check"])
    encoding = choose(rng, ENCODINGS, ODD_ENCODINGS)
    data = make_data(rng, encoding)
    return Case(
        command,
        data,
        columns=choose(rng, COLUMNS, ODD_COLUMNS),
        delimiter=choose(rng, SEPARATORS, ODD_SEPARATORS),
        # Guessing an encoding is slow, so only a few inputs that are not UTF-8 need it.
        encoding=encoding if command != "check" or (rng.random() < 0.95 and not is_utf8(data)) else None,
        comments=choose(rng, COMMENTS, ODD_COMMENTS),
        scheme=rng.choice(SCHEMES_GIVEN),
        scores=rng.random() < 0.3,
        line_buffered=rng.random() < 0.3,
        repair=rng.random() < 0.5,
        predictor=rng.randrange(len(PREDICTORS)),
        piece_lines=rng.choice([1, 2, 3, 8192, 8192, 8192]),
        block=rng.choice([1, 2, 3, 1 << 16, 1 << 16, 1 << 16]),
    )


def choose(rng: random.Random, usual: Sequence[Any], odd: Sequence[Any]) -> Any:
    return rng.choice(odd if rng.random() < _ODD else usual)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def make_data(rng: random.Random, encoding: str) -> bytes:
    """Make a piece of a corpus, tidy or not, with a few mutations."""
    tidy = rng.random() < 0.5  # one delimiter, line end and number of columns; other files are soon refused
    delimiter, end, n_columns = (
        rng.choice(DELIMITERS),
        rng.choice(["\n", "\n", "\r\n", "\r"]),
        rng.choice([1, 2, 2, 2, 3]),
    )
    tags = rng.sample(FILE_TAGS, 4) if rng.random() < 0.5 else TAGS
    parts = [rng.choice(["", "", "", "\ufeff", "# x\n", "-DOCSTART- -X- O\n\n", "\n", "-DOCSTART-\n"])]
    for _ in range(rng.choice([0, 1, 2, 3, 4, 6, 8, 12])):
        if rng.random() < 0.2:
            parts.append(
                end
                if tidy
                else rng.choice(["# comment\n", "#\n", "\n", " \n", "\t\n", "\r\n", "-DOCSTART-\tO\n", "#\tO\n"])
            )
            continue
        if not tidy:
            delimiter, n_columns = rng.choice(DELIMITERS), rng.choice([1, 2, 2, 2, 3, 4])
            end = rng.choice(ENDS)
        middle = [rng.choice(TOKENS) for _ in range(n_columns - 2)]
        last = [rng.choice(tags)] if n_columns > 1 else []
        trailing = "" if rng.random() < 0.9 else delimiter
        parts.append(delimiter.join([rng.choice(TOKENS), *middle, *last]) + trailing + end)
    text = "".join(parts)
    try:
        data = text.encode(encoding, "ignore")
    except Exception:  # an unknown or unusual encoding
        data = text.encode()
    if rng.random() < 0.4:
        data = mutated(rng, data)
    return data


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randint(0, len(data))
        match rng.randrange(6):
            case 0:
                data = data[:at] + rng.choice(FRAGMENTS) + data[at:]
            case 1:
                data = data[:at] + data[at + rng.randint(1, 4) :]
            case 2:
                data = data[:at]
            case 3:
                data = data[:at] + data[rng.randint(0, len(data)) :]
            case 4:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 5:
                data += data[at:]
    return data


# --- Running one -----------------------------------------------------------------------------------------------------


class Trickle(io.BytesIO):
    """A stream that returns few bytes at a time."""

    def __init__(self, data: bytes, block: int) -> None:
        super().__init__(data)
        self._block = block

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self._block)


class Files:
    """A stand-in for the file system, in which every path is the current input."""

    data = b""
    block = 1 << 16

    def open(self, _path: str | Path) -> BinaryIO:
        return Trickle(self.data, self.block)

    def sample(self, _path: str | Path) -> bytes:
        return self.data


ORIGINAL_OPEN, ORIGINAL_SAMPLE = lines.open_corpus, encodings._sample


def install(opened: Callable[..., Any], sampled: Callable[..., Any]) -> None:
    """Make every module of `tagger` open files with a function, and read the samples of encodings with another."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tagger.") and hasattr(module, "open_corpus"):
            module.open_corpus = opened  # type: ignore[attr-defined]
    encodings._sample = sampled


def run_case(case: Case, files: Files) -> str:
    """Run one input; return `accepted`, or the kind of refusal."""
    files.data, files.block = case.data, case.block
    stream.CHUNK_LINES = case.piece_lines
    try:
        columns = parse_columns(case.columns)
        if case.command == "check":
            run_check(case, columns)
        else:
            layout = Layout(
                columns=columns,
                delimiter=case.delimiter,
                encoding=case.encoding or "utf-8",
                comments=case.comments,
                n_columns=2,
                known_tags=frozenset(TAGS),
            )
            (run_predict if case.command == "predict" else run_eval)(case, layout)
    except TaggerError as error:
        if "\n" in error.message or "\r" in error.message:
            raise Violation(f"an error of several lines: {error.message!r}") from None
        str(error).encode()
        return kind_of(error.message)
    except click.ClickException as error:
        error.format_message().encode()
        return "usage"
    return "accepted"


_KINDS = [
    ("wrong byte", r"byte 0x"),
    ("column missing", r"is missing"),
    ("column counts differ", r"counted from the end"),
    ("tag empty", r"is empty"),
    ("tag does not fit", r"does not fit"),
    ("no sentence", r"found no sentence"),
    ("no tag column", r"expected a tag column"),
    ("encoding cannot hold", r"cannot hold"),
    ("option: encoding", r"^encoding"),
    ("option: columns", r"^columns"),
    ("option: delimiter", r"^delimiter"),
    ("option: comments", r"^comments"),
    ("nothing to repair", r"nothing to repair"),
]


def kind_of(message: str) -> str:
    return next((kind for kind, pattern in _KINDS if re.search(pattern, message)), "other")


def run_predict(case: Case, layout: Layout) -> None:
    predictor = PREDICTORS[case.predictor]
    blocks = tag_conll(
        predictor,
        Trickle(case.data, case.block),
        layout,
        path="fuzz",
        scores=case.scores,
        line_buffered=case.line_buffered,
    )
    is_foreign = case.predictor == len(NOTATIONS)
    types = {tag[2:] for tag in (FOREIGN_TAGS if is_foreign else TAGS) if tag != "O"}
    prefixes = SCHEMES["IOB2" if is_foreign else NOTATIONS[case.predictor].scheme].prefixes
    tags = {predictor.spell("O"), *(predictor.spell(f"{prefix}-{name}") for prefix in prefixes for name in types)}
    check_added_column(case.data, b"".join(blocks), layout, case.scores, sorted(tags))


def split_lines(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(m[1], m[2]) for m in re.finditer(rb"([^\r\n]*)(\r\n|\r|\n|\Z)", data) if m[0]]


def check_added_column(before: bytes, after: bytes, layout: Layout, scores: bool, tags: Sequence[str]) -> None:
    """Check that every token line has one more column (two with `scores`), and that nothing else has changed.

    Raises:
        Violation: something else was added, or bytes were lost.
    """
    before_lines, after_lines = split_lines(before), split_lines(after)
    if len(before_lines) != len(after_lines):
        raise Violation(f"{len(before_lines)} lines became {len(after_lines)}")
    column = "(?:" + "|".join(map(re.escape, tags)) + ")"
    for number, ((body, end), (new, new_end)) in enumerate(zip(before_lines, after_lines, strict=True), start=1):
        text = body.decode(layout.encoding).removeprefix("\ufeff")
        blank = not text.strip(BLANKS)
        comment = layout.comments is not None and text.startswith(layout.comments)
        if not new.startswith(body) or new_end != end:
            raise Violation(f"line {number}: bytes were lost: {body + end!r} became {new + new_end!r}")
        added = new[len(body) :].decode(layout.encoding)
        if not added and (blank or comment):
            continue
        own = "\t" if b"\t" in body else " " if b" " in body else layout.written_delimiter
        # A -DOCSTART- line keeps its own delimiter among lines with TABs.
        fixed = None if layout.separator == "\t" and text.split(" ")[0] == DOCSTART else layout.separator
        delimiter = re.escape(fixed or own)
        pattern = f"{delimiter}{column}{delimiter + r'[01][.][0-9]{4}' if scores else ''}"
        if blank or re.fullmatch(pattern, added) is None:
            raise Violation(f"line {number}: {added!r} was added to {body!r}")


def run_eval(case: Case, layout: Layout) -> None:
    evaluation = evaluate_file(PREDICTORS[case.predictor], "fuzz", layout)
    json.dumps(evaluation.to_json(), allow_nan=False)
    format_report(evaluation).encode()


def run_check(case: Case, columns: dict[str, int]) -> None:
    report = check_file(
        "fuzz",
        CheckSettings(
            columns={} if case.piece_lines == 8192 else columns,
            delimiter=case.delimiter,
            comments=case.comments or "auto",
            scheme=case.scheme,
            encoding=case.encoding,
        ),
    )
    json.dumps(report.to_json(), allow_nan=False)
    format_check([report], [], as_json=False).encode()
    if case.repair:
        lines, changes = repaired(report)
        before = list(read_lines(io.BytesIO(case.data)))
        if len(lines) != len(before):
            raise Violation(f"repairs: {len(before)} lines became {len(lines)}")
        differ = {i for i, (old, new) in enumerate(zip(before, lines, strict=True), start=1) if old != new}
        if differ != {change.line for change in changes}:
            raise Violation(f"repairs: the lines {sorted(differ)} differ, but {changes} are listed")
        for change in changes:
            check_repaired_line(before[change.line - 1], lines[change.line - 1], change.message, report.layout.encoding)
        format_check([report], changes, as_json=True).encode()


def check_repaired_line(old: bytes, new: bytes, message: str, encoding: str) -> None:
    """Check that the new line is the old one with one tag replaced; `message` ends with the old and the new tag."""
    spelled, _, replacement = message.rpartition(": ")[2].partition(" → ")
    if {"…", "\\"} & set(spelled + replacement):
        return  # messages abridge long tags and escape invisible characters
    # Some encodings write a character in two ways, so that any bytes that mean the tag may stand where it stood.
    for start in range(len(old)):
        for end in range(start + 1, len(old) + 1):
            if old[start:end].decode(encoding, "ignore") != spelled or not new.endswith(old[end:]):
                continue
            written = new[start : len(new) - len(old) + end]
            if new.startswith(old[:start]) and decodes_to(written, encoding, replacement):
                return
    raise Violation(f"a repair changed more than the tag: {message}: {old!r} became {new!r}")


def decodes_to(data: bytes, encoding: str, text: str) -> bool:
    try:
        return data.decode(encoding) == text
    except UnicodeDecodeError:
        return False


def run_command_line(case: Case, folder: Path) -> int:
    """Run the input through click, with a file; raise Violation for an exit code that does not exist."""
    path = folder / "fuzz.conll"
    path.write_bytes(case.data)
    flags = ["--columns", case.columns, "--delimiter", case.delimiter]
    flags += ["--encoding", case.encoding] if case.encoding is not None else []
    flags += ["--scores"] if case.scores and case.command == "predict" else []
    flags += ["--fix", str(folder / "fixed.conll"), "--force"] if case.repair and case.command == "check" else []
    with stub_model():
        result = run_tagger(case.command, path, *flags)
    if result.exit_code not in (0, 1, 2):
        raise Violation(f"exit code {result.exit_code}")
    errors = "".join(re.sub(r"^warning: .*\n", "", line) for line in result.errors.splitlines(keepends=True))
    if result.exit_code == 0 and case.command != "check" and errors:
        raise Violation(f"exit code 0 with the errors {result.errors!r}")
    if not (result.exit_code == 0 or errors.startswith("error: ") or case.command == "check"):
        raise Violation(f"exit code {result.exit_code} with the errors {result.errors!r}")
    return result.exit_code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=200_000, metavar="N", help="number of inputs (default 200000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first input (default 0)")
    parser.add_argument("--without", choices=INPUTS, metavar="CHECK", help="switch off a check, which must be noticed")
    parser.add_argument("--keep-going", action="store_true", help="print each new kind of violation and continue")
    options = parser.parse_args()
    if options.without is not None:
        INPUTS[options.without]()
    files = Files()
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    seen: set[str] = set()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.first, options.first + options.inputs):
            case = make_case(options.seed, number)
            try:
                if number % _VIA_COMMAND_LINE == 0 and "\0" not in case.columns + case.delimiter:
                    install(ORIGINAL_OPEN, ORIGINAL_SAMPLE)
                    stream.CHUNK_LINES = 8192
                    counts["command line"][f"exit code {run_command_line(case, Path(name))}"] += 1
                install(files.open, files.sample)
                counts[case.command][run_case(case, files)] += 1
            except Exception as error:
                show = describe(number, case, error)
                where = (
                    "".join(traceback.format_tb(error.__traceback__)[-1:]) if not isinstance(error, Violation) else ""
                )
                key = re.sub(r"'.*|[0-9]+", "", f"{type(error).__name__} {error}")[:40] + where
                counts[case.command]["VIOLATION"] += 1
                if key not in seen:
                    print(show, flush=True)
                seen.add(key)
                if not options.keep_going:
                    return 1
    seconds = time.perf_counter() - start
    for command, found in sorted(counts.items()):
        listed = ", ".join(f"{kind} {n}" for kind, n in found.most_common())
        print(f"{command}: {listed}")
    rate = options.inputs / seconds
    print(f"{options.inputs} inputs in {seconds:.0f} s ({rate:.0f}/s), {len(seen)} kinds of violation")
    unheard = [command for command in ("predict", "eval", "check") if not counts[command]["accepted"]]
    if options.inputs >= _ENOUGH and unheard:
        print(f"no input of {' and '.join(unheard)} was accepted: nothing was tried there")
        return 1
    return 1 if seen else 0


def describe(number: int, case: Case, error: Exception) -> str:
    flags: dict[str, Any] = {
        field.name: getattr(case, field.name) for field in dataclasses.fields(case) if field.name != "data"
    }
    return "\n".join(
        [
            f"violation at input {number}: {type(error).__name__}: {error}",
            *(traceback.format_tb(error.__traceback__)[-3:] if not isinstance(error, Violation) else []),
            f"  {flags}",
            f"  input {case.data!r}",
            f"  hex {case.data.hex()}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
