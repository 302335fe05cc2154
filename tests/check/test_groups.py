"""Equal problems are one line of the report of `tagger check`, whatever their number and their tokens and tags."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checked_files import check
from helpers import run_tagger

from tagger.check.groups import format_problems
from tagger.check.problems import ERROR, WARNING, Problem


def lines(problems: list[Problem], *, one_by_one: bool = False) -> list[str]:
    return format_problems(problems, "f", one_by_one=one_by_one)


def report_of(data: str | bytes, *flags: str) -> list[str]:
    """Return the lines of the report on a file."""
    Path("f").write_bytes(data.encode() if isinstance(data, str) else data)
    return run_tagger("check", *flags, "f").output.decode().splitlines()


def test_equal_problems_are_one_line_with_their_number_and_first_lines() -> None:
    problems = [Problem(n, ERROR, "found 9 columns, expected 10", "columns") for n in (12, 40, 55, 60)]
    assert lines(problems) == ["f:12: error: 4 × found 9 columns, expected 10 (lines 12, 40, 55, …)"]
    assert lines(problems[:3]) == ["f:12: error: 3 × found 9 columns, expected 10 (lines 12, 40, 55)"]
    assert lines(problems[:1]) == ["f:12: error: found 9 columns, expected 10"]


def test_problems_on_one_line_name_it_once() -> None:
    assert lines([Problem(3, WARNING, "odd", "odd")] * 2) == ["f:3: warning: 2 × odd (line 3)"]


def test_a_group_shows_its_commonest_examples() -> None:
    tags = ["X", "Y", "Y", "Z", "Z", "Z", "V", "W", "U"]
    problems = [Problem(n, ERROR, f"tag {tag} of w{n}", "tag", "the tag is bad", tag) for n, tag in enumerate(tags, 1)]
    assert lines(problems) == ["f:1: error: 9 × the tag is bad: Z (3), Y (2), X, V, W, … (lines 1, 2, 3, …)"]
    assert lines(problems[:1]) == ["f:1: error: tag X of w1"]


def test_only_the_five_largest_groups_of_a_kind_are_shown() -> None:
    sizes = {"a": 1, "b": 3, "c": 1, "d": 2, "e": 2, "g": 1, "h": 2}
    texts = [text for text, n in sizes.items() for _ in range(n)]
    problems = [Problem(n, WARNING, text, "kind") for n, text in enumerate(texts, 1)]
    problems.append(Problem(20, WARNING, "other", "other kind"))
    assert lines(problems) == [
        "f:1: warning: a",
        "f:2: warning: 3 × b (lines 2, 3, 4)",
        "f:6: warning: 2 × d (lines 6, 7)",
        "f:8: warning: 2 × e (lines 8, 9)",
        "f:11: warning: 2 × h (lines 11, 12)",
        "f: warning: and 2 more like the 5 above; --all shows them",
        "f:20: warning: other",
    ]
    assert lines(problems, one_by_one=True) == [problem.format("f") for problem in problems]


def test_an_error_and_a_warning_of_one_text_are_two_lines() -> None:
    assert lines([Problem(1, ERROR, "odd", "odd"), Problem(2, WARNING, "odd", "odd")]) == [
        "f:1: error: odd",
        "f:2: warning: odd",
    ]


_USUAL = "".join(f"a{i % 100}\tB-X\nb\tO\n\n" for i in range(1000))  # lines 1 to 3000


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (lambda i: f"w{i}\tO\tO\n", "900 × found 3 columns, expected 2 as on most lines: "),
        (lambda i: f"w{i}\tbad{i % 7}\n", "900 × the tag does not fit the scheme IOB2; fix it: 'bad0' (129), "),
        (lambda i: f"w{i}\tbad{i}\n", "900 × the tag does not fit the scheme IOB2; fix it: 'bad0', 'bad1', "),
        (lambda i: "\tO\n", "900 × the token is empty (lines 3001, 3002, 3003, …)"),
        (lambda i: "B-X\tO\n", "900 × the token is a tag of this file; is the line's first column missing?: 'B-X' "),
        (lambda i: f"v\tO\nw{i}\tI-X\n", "900 × I-X after O, which IOB2 does not allow; "),
    ],
)
def test_a_systematic_fault_is_one_line_of_the_report(folder: Path, wrong: Callable[[int], str], expected: str) -> None:
    found = report_of(_USUAL + "".join(wrong(i) for i in range(900)))
    assert expected in found[0]
    assert found[1] == ""


def test_invalid_bytes_of_many_lines_are_one_line(folder: Path) -> None:
    data = "".join(f"é{i % 100}\tO\nb\tB-X\n\n" for i in range(900)).encode() + b"x\xff\tO\nxx\xfe\tO\n" * 5
    found = report_of(data)
    assert found[0].startswith("f:2701: error: 10 × a byte of the line is not valid utf-8; ")
    assert found[1] == ""


def test_the_summary_comes_last(folder: Path) -> None:
    assert report_of("a\tB-X\nb\tI-Y\n") == [
        "f:1: warning: 2 × the tag occurs only once: B-X, I-Y (lines 1, 2)",
        "f:2: warning: I-Y after B-X, which IOB2 does not allow; it is read as conlleval reads it",
        "",
        "f",
        "  encoding utf-8; line ends LF",
        "  2 columns by TAB: token 0, tag -1; comments none; scheme IOB2",
        "  1 sentence, 2 tokens (2 distinct), 2 entities, 2 tags",
        "  entities: X 1, Y 1",
        "  sentence lengths: p50 2, p90 2, p99 2, max 2",
        "  read as: a→B-X  b→I-Y",
        "  0 errors, 3 warnings",
    ]


def test_one_of_each_is_singular(folder: Path) -> None:
    found = report_of("a\tB-X\nb\tB-X\na\n")
    assert found[-1] == "  1 error, 0 warnings"
    assert "  1 sentence, 3 tokens (2 distinct), 2 entities, 1 tag" in found


def test_all_shows_each_problem(folder: Path) -> None:
    data = _USUAL + "".join(f"w\tbad{i}\n" for i in range(50))
    found = report_of(data, "--all")
    assert found[:50] == [
        f"f:{3001 + i}: error: tag 'bad{i}' of 'w' does not fit the scheme IOB2; fix it" for i in range(50)
    ]
    assert found[50] == ""


def test_json_holds_every_problem_with_its_kind(folder: Path) -> None:
    data = _USUAL + "".join(f"w\tbad{i}\n" for i in range(50)) + "w\tO\tO\n\tO\n"
    Path("f").write_text(data)
    (file,) = json.loads(run_tagger("check", "--json", "f").output)["files"]
    assert [problem["kind"] for problem in file["problems"]] == ["bad-tag"] * 50 + ["column-count", "empty-token"]
    assert [problem["line"] for problem in file["problems"]] == [*range(3001, 3053)]
    assert set(file["problems"][0]) == {"line", "severity", "kind", "message"}


def test_every_problem_has_a_kind(folder: Path) -> None:
    data = (
        "a\tB-X\nb\tO\n\n" * 3 + "a\tB-X\nb\tB-X\n\n\tO\nb\tB-x\nO\tZ\nB-X\tO\na\0\tO\nw\tI-x\nc\nd\tO\tO\r\ne\t B_X\n"
    )
    kinds = {problem.kind for problem in check(data).problems}
    assert kinds == {
        "repeated-sentence", "empty-token", "case", "rare-tag", "bad-tag", "tag-as-token", "nul-byte", "ill-formed",
        "column-count", "line-ends", "notation",
    }  # fmt: skip


def test_a_huge_tag_does_not_make_a_huge_report(folder: Path) -> None:
    huge = "B-" + "x" * 1_000_000
    data = f"a\t{huge}\nb\tO\n{huge}\tO\na\tQ{huge}\n\na\tI-y\n" + "b\tB-X\n" * 3
    assert len("\n".join(report_of(data))) < 10_000
    assert len("\n".join(report_of(data, "--all"))) < 10_000
    (file,) = json.loads(run_tagger("check", "--json", "f").output)["files"]
    assert max(len(problem["message"]) for problem in file["problems"]) < 2_000


def test_escapes_of_a_file_do_not_reach_the_terminal(folder: Path) -> None:
    data = "w\x1b[2J\tB-\x1b]0;X\x07\nv\tQ-\x1b[31mY\nB-\x1b]0;X\x07\tO\n"
    for flags in ([], ["--all"], ["--json"], ["--fix", "out"]):
        output = "\n".join(report_of(data, *flags))
        assert output
        assert "\x1b" not in output
        assert "\x07" not in output


@pytest.mark.corpora
def test_escapes_of_the_hostile_case_do_not_reach_the_terminal(corpora: Path) -> None:
    output = run_tagger("check", corpora / "cases" / "hostile" / "esc.conll").output
    assert b"\\x1b]0;PWNED\\x07X" in output
    assert b"\x1b" not in output


def calls_of(function: Callable[[], Any]) -> int:
    """Return how many functions a call runs."""
    n_calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return n_calls


@pytest.mark.parametrize(
    "wrong",
    [
        lambda i: b"w%d\tO\tO\n" % i,
        lambda i: b"w%d\tbad%d\n" % (i, i),
        lambda i: b"w\xff%d\tO\n" % i,
        lambda i: b"w\0%d\tO\n" % i,
        lambda i: b"\tO\n",
        lambda i: b"a\tI-X\n\na\tO\n\n",
        lambda i: b"w%d\tB-T%d\n" % (i, i),
    ],
    ids=["columns", "tags", "bytes", "nul", "tokens", "sentences", "types"],
)
def test_the_work_grows_no_faster_than_the_file(folder: Path, wrong: Callable[[int], bytes]) -> None:
    def work(n: int) -> int:
        Path("f").write_bytes("é\tB-X\nb\tO\n\n".encode() * 4 * n + b"".join(map(wrong, range(n))))
        return calls_of(lambda: run_tagger("check", "f"))

    work(10)  # imports
    assert work(800) < 8.5 * work(100)
