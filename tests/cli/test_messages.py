"""Messages on standard error, and errors that the system causes: each is one clear line, safe for a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import zlib
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from helpers import ROOT, run_tagger
from stub_model import stub_model

from tagger.cli import commands, console
from tagger.errors import TaggerError

# Runs the command line in a new process, with the stub model in place of each model.
STUB = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from stub_model import stub_model
from tagger.cli import commands, console
console.prepare_process()
with stub_model():
    console.end_process(commands.run(sys.argv[1:]))
"""


def in_shell(line: str, cwd: Path, *, has_model: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `tagger` is the command line, with the stub model or without any."""
    arguments = f"-c {shlex.quote(STUB)}" if has_model else "-m tagger"
    function = f'tagger() {{ {shlex.quote(sys.executable)} {arguments} "$@"; }}; '
    return subprocess.run(
        ["bash", "-c", function + line], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


def in_terminal(code: str, *arguments: str, columns: int = 80, answers: Mapping[str, bytes] | None = None) -> str:
    """Run Python code in a terminal of its own, and return what the terminal showed.

    Args:
        answers: what to type as soon as a text is shown.
    """
    waiting = dict(answers or {})
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    own = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # Ctrl-C reaches the process
    command = [sys.executable, "-c", own + code, *arguments]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    shown = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:  # Linux reports the end of a terminal as an error
            block = b""
        if not block:
            break
        shown += block
        for text in [text for text in waiting if text.encode() in shown]:
            os.write(leader, waiting.pop(text))
    os.close(leader)
    process.wait(timeout=60)
    return shown.decode().replace("\r\n", "\n")


# --- Lines ------------------------------------------------------------------------------------------------------------


def test_on_a_terminal_an_error_wraps_at_words_and_its_details_are_indented() -> None:
    code = (
        "from tagger.cli import console; console.say('error: data/train.conll:3: found 2 columns, expected 3 as on most"
        " lines; give the line three columns', 'a detail that is so long that it does not fit in a line of sixty columns')"
    )
    assert in_terminal(code, columns=60) == (
        "error: data/train.conll:3: found 2 columns, expected 3 as on\n"
        "  most lines; give the line three columns\n"
        "  a detail that is so long that it does not fit in a line of\n"
        "    sixty columns\n"
    )


def test_on_a_terminal_a_report_wraps_too_and_keeps_its_indents(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"w{i}\tB-TYPE{i % 25}\nx\tO\n" for i in range(200)) + "\n")
    lines = in_terminal(STUB, "check", str(tmp_path / "f"), columns=60).splitlines()
    assert max(map(len, lines)) <= max(60, len(str(tmp_path / "f")) + 12)
    at = next(i for i, line in enumerate(lines) if line.startswith("  entities: TYPE0 8, "))
    assert lines[at + 1].startswith("    TYPE")
    assert lines[-1] == "  0 errors, 0 warnings"


def test_elsewhere_an_error_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("error: " + "word " * 60, "detail " * 30)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_what_a_terminal_would_obey_is_shown_as_an_escape(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("a\x1b[2J\nb\0\u202e", "c\x9b")
    assert capsys.readouterr().err == "a\\x1b[2J\\x0ab\\x00\\u202e\n  c\\x9b\n"


def test_data_and_paths_reach_neither_stream_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "in\x1b[31m\n.conll"
    Path(name).write_bytes(b"w1\tB-\x1b]0;title\x07X\nv1\tQ-\x1b[31mY\nw2\tB-\xc2\x9bZ\n\na\tO\n")
    with stub_model():
        for arguments in (["check", name], ["eval", name], ["predict", f"no{name}"], ["train", name], ["--x\x1b[m"]):
            result = run_tagger(*arguments)
            text = result.output.decode() + result.errors
            assert text.strip(), arguments
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), (arguments, text)
            assert "\\x1b" in text, arguments
    assert r"B-\x1b]0;title\x07X" in run_tagger("check", name).output.decode()


@pytest.mark.corpora
def test_the_shared_case_with_escapes_is_shown_without_them(corpora: Path) -> None:
    case = corpora / "cases/hostile/esc.conll"
    if not case.is_file():
        pytest.skip("the shared cases are not here")
    text = run_tagger("check", case).output.decode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert r"\x1b[31mY" in text


def test_predict_writes_the_bytes_of_its_input_unchanged() -> None:
    with stub_model():
        assert run_tagger("predict", stdin=b"Peter\t\x1b[31m\tx\n").output == b"Peter\t\x1b[31m\tx\tB-PER\n"


def test_a_huge_tag_does_not_make_huge_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").write_bytes(b"w\tB-%s\nv\tO\n" % (b"x" * 1_000_000))
    with stub_model():
        for command in ("check", "eval"):
            result = run_tagger(command, "f")
            assert result.output, command
            assert len(result.output) + len(result.errors) < 10_000, command
    assert max(map(len, run_tagger("eval", "f").output.splitlines()), default=0) <= 80


def test_training_says_what_it_does_before_it_imports_anything_slow(tmp_path: Path) -> None:
    code = """
import sys
from tagger.cli import commands, console
def say(text, *details):
    print([name for name in ("pydantic", "yaml", "numpy", "tensorflow") if name in sys.modules], text)
console.say = say
commands.run(["train", "no.yaml"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "[] reading no.yaml, then loading TensorFlow, which takes some seconds"


def test_ctrl_c_does_not_stick_to_the_progress_bar() -> None:
    code = """
import sys, time
from tagger.cli import console
console.prepare_process()
with console.StopRequest() as stop:
    stop.begin()
    sys.stderr.write("epoch 1/9 ====")
    sys.stderr.flush()
    while not stop.requested():
        time.sleep(0.01)
    time.sleep(0.5)
"""
    shown = in_terminal(code, answers={"epoch 1/9 ====": b"\x03"})
    assert shown == "epoch 1/9 ====^C\r\x1b[Kstopping after this step; press Ctrl-C again to stop at once\n"


def test_predict_at_a_terminal_says_what_it_waits_for() -> None:
    waiting = "type CoNLL lines: a token on each line; an empty line ends a sentence, Ctrl-D ends the input"
    shown = in_terminal(STUB, "predict", answers={"type CoNLL": b"Peter\n\n\x04"})
    assert shown.split("\n")[0] + " " + shown.split("\n")[1].strip() == waiting
    assert "Peter\tB-PER\n" in shown.expandtabs(8).replace("Peter   B", "Peter\tB")
    with stub_model():
        assert run_tagger("predict", stdin=b"Peter\n").errors == ""


# --- Output onto input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [">>", ">"])
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("predict link", "link"), ("predict < self", "<standard input>"), ("eval link", "link"),
        ("eval - < self", "<standard input>"), ("compare a b link", "link"), ("check link", "link"),
    ],
)  # fmt: skip
def test_output_onto_the_input_is_refused(tmp_path: Path, command: str, name: str, mode: str) -> None:
    before = b"a\tO\nb\tO\n\n" * 50_000
    (tmp_path / "self").write_bytes(before)
    (tmp_path / "link").symlink_to("self")
    done = in_shell(f"tagger {command} {mode} self", tmp_path, has_model=command.startswith("compare"))
    assert done.returncode == 1, done.stderr
    error = done.stderr.splitlines()[-1]
    why = "reading it would never end" if mode == ">>" else "the shell has emptied it before it could be read"
    assert error.startswith(f"error: {name}: is also standard output, so {why}")
    assert (tmp_path / "self").read_bytes() == (before if mode == ">>" else b"")


def test_check_refuses_to_write_onto_its_config(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data: {train: t}\n")
    done = in_shell("tagger check --config c.yaml >> c.yaml", tmp_path)
    assert (done.returncode, done.stderr.startswith("error: c.yaml: is also standard output")) == (1, True)


def test_other_output_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a\tO\n")
    for target in ("out", "/dev/null", ">(cat)"):
        done = in_shell(f"tagger predict in > {target}", tmp_path, has_model=True)
        assert done.returncode == 0, done.stderr


# --- Something else than a corpus ---------------------------------------------------------------------------------------


def test_a_config_or_a_model_in_the_place_of_a_corpus_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("# a config\ndata: {train: t}\n")
    Path("m").mkdir()
    Path("m/manifest.json").write_text("{}")
    for command in (["predict"], ["eval"], ["compare", "a", "b"]):
        with stub_model():
            config, model = (run_tagger(*command, name) for name in ("c.yaml", "m"))
        assert config.first_error == "error: c.yaml: found a config, expected a corpus; name the corpus itself"
        assert model.first_error == (
            "error: m: found a model directory, expected a corpus; name the model with --model m"
        )
        assert (config.exit_code, model.exit_code) == (1, 1)
    config = run_tagger("check", "c.yaml")
    assert config.first_error == "error: c.yaml: found a config, expected a corpus; pass it with --config c.yaml"


def test_a_corpus_may_have_any_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.yaml").write_text("data\tO\n:\tO\n")
    with stub_model():
        assert run_tagger("predict", "corpus.yaml").output == b"data\tO\tO\n:\tO\tO\n"


# --- The system -------------------------------------------------------------------------------------------------------


def run_failing(error: BaseException) -> list[str]:
    """Return the lines on standard error when a command raises an error."""

    @click.command()
    def fail() -> None:
        raise error

    group = type(commands.cli)("tagger", commands={"fail": fail})
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr(console, "say", lambda *lines: said.extend(lines))
        assert console.run(group, ["fail"]) == 1
    return said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("Not a gzipped file"), "error: a file: cannot be read or written: Not a gzipped file; check the disk"),
        (OSError(28, "No space left on device", "x/y"), "error: x/y: cannot be read or written: No space left on device; free some space"),
        (EOFError("Compressed file ended before the end-of-stream marker"), "error: a compressed file is incomplete: Compressed file ended"),
        (zlib.error("Error -3"), "error: a compressed file is damaged: Error -3; get it again"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "error: temporary files: no directory can be written; free some space, or set TMPDIR"),
        (MemoryError(), "error: out of memory: "),
        (OSError(12, "Cannot allocate memory"), "error: out of memory: "),
        (ImportError("libx.so: failed to map segment from shared object", name="numpy"), "error: out of memory: "),
        (ImportError("Exception caught: std::bad_alloc"), "error: out of memory: "),
        (RuntimeError("can't start new thread"), "error: out of memory: "),
        (ValueError("OOM when allocating tensor with shape[9,9]"), "error: out of memory: "),
        (ImportError("No module named 'x'", name="x"), "error: x cannot be imported: "),
        (TaggerError("what", detail=["more"]), "error: what"),
    ],
)  # fmt: skip
def test_an_error_of_the_system_is_never_blamed_on_standard_output(error: BaseException, expected: str) -> None:
    said = run_failing(error)
    assert said[0].startswith(expected)
    assert "standard output" not in said[0]


def test_an_error_that_nobody_expects_keeps_its_traceback() -> None:
    for error in (ValueError("x"), ImportError("no name", name="tagger.x")):
        with pytest.raises(type(error)):
            run_failing(error)


# Too little for the libraries, for some of them, and for the sentences.
@pytest.mark.parametrize("megabytes", [60, 110, 135])
def test_too_little_memory_is_no_traceback(tmp_path: Path, megabytes: int) -> None:
    (tmp_path / "in").write_bytes(b"a\tO\nb\tB-X\n\n" * 50_000)
    done = in_shell(f"ulimit -v {megabytes * 1024}; tagger check in > /dev/null", tmp_path)
    assert "Traceback" not in done.stderr
    # Below a third of these limits, OpenBLAS ends the process itself, with a message of its own.
    assert done.returncode == 0 or "error: out of memory" in done.stderr or "OpenBLAS" in done.stderr


def test_a_deleted_working_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "in").write_bytes(b"a\tO\n")
    for arguments in ("check ../in", "predict ../in", "train c.yaml"):
        (tmp_path / "gone").mkdir(exist_ok=True)
        done = in_shell(f"rmdir ../gone; tagger {arguments}", tmp_path / "gone")
        assert done.returncode == 1
        assert done.stderr == (
            "error: the working directory: No such file or directory, it may have been deleted; change to a directory"
            " that exists\n"
        )
