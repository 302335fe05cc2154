"""The code for the terminal that all commands share: standard streams, signals, exit codes and error messages."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import stat
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, NoReturn

import click

from tagger.cli.suggestions import unknown_option
from tagger.errors import TaggerError
from tagger.machine import is_out_of_memory, tune_interpreter
from tagger.wording import abridged, visible

INTERRUPTED, TERMINATED = 130, 143


class StopRequest:
    """A context in which the first Ctrl-C or SIGTERM asks a training to stop, and the second ends the process at once.

    As long as there is nothing to lose, the first signal also ends the process at once. A thread watches for the
    signals, because Python calls signal handlers only between two of its own instructions, and TensorFlow may compile
    for seconds.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._begun = False
        self._before: dict[int, object] = {}

    def begin(self) -> None:
        """Note that there is something to lose from now on."""
        self._begun = True

    def requested(self) -> bool:
        return bool(self.exit_code)

    def __enter__(self) -> StopRequest:
        reader, self._writer = os.pipe()
        if hasattr(os, "set_blocking"):  # without it, on Windows, a writer may wait
            os.set_blocking(self._writer, False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, lambda _number, _frame: None)
        self._descriptor_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._descriptor_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._writer)

    def _watch(self, reader: int) -> None:
        codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
        with open(reader, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                code = codes.get(signal.Signals(number[0]))
                if code is None:
                    continue
                _clear_line()
                if self.exit_code or not self._begun:
                    say("stopped")
                    _leave(code)
                self.exit_code = code
                say("stopping after this step; press Ctrl-C again to stop at once")


def _clear_line() -> None:
    """Remove the `^C` that a terminal shows, and the progress bar that it is attached to; the bar is drawn again."""
    if _terminal_width(sys.stderr) is not None:
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), b"\n" if os.environ.get("TERM") == "dumb" else b"\r\x1b[K")


def _leave(code: int) -> NoReturn:
    """End the process immediately, as SIGKILL would.

    This is safe, because files are only ever replaced in one step.
    """
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # show the cursor, which a progress bar hides
            sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def leaving_at_once() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process at once while libraries are loaded and nothing has been read or written.

    Libraries that are interrupted while they load would turn KeyboardInterrupt and SystemExit into other errors.
    """
    usual = {signal.SIGINT: (signal.default_int_handler, INTERRUPTED), signal.SIGTERM: (_terminate, TERMINATED)}
    is_main = threading.current_thread() is threading.main_thread()
    codes = {number: code for number, (handler, code) in usual.items() if signal.getsignal(number) is handler}
    changed = {
        number: signal.signal(number, lambda *_, code=code: _leave(code)) for number, code in codes.items() if is_main
    }
    try:
        yield
    finally:
        for number, before in changed.items():
            signal.signal(number, before)


class _ReaderGoneError(Exception):
    """The reader of standard output (such as `| head`) has closed the pipe.

    It is not an OSError, because click would exit with 1 on one.
    """


def write(data: bytes) -> None:
    """Write data to standard output."""
    if sys.stdout is None:
        raise TaggerError("standard output: is closed, expected a place for the result; redirect it to a file")
    rest = memoryview(data)
    while rest:
        try:
            # Unbuffered (python -u), a write may take only a part of the data, or return None if it would block.
            n_written = sys.stdout.buffer.write(rest) or 0
        except BlockingIOError as error:
            n_written = error.characters_written
        except OSError as error:
            raise _not_written(error) from None
        rest = rest[n_written:]
        if rest:
            _wait_for_reader()


def flush() -> None:
    """Flush standard output; wait for its reader if the pipe is full."""
    while sys.stdout is not None:
        try:
            sys.stdout.flush()
            return
        except BlockingIOError:
            _wait_for_reader()
        except OSError as error:
            raise _not_written(error) from None


def _not_written(error: OSError) -> Exception:
    # On Windows, the number of the error is EINVAL.
    if isinstance(error, BrokenPipeError) or (error.errno == errno.EINVAL and _is_pipe(sys.stdout)):
        return _ReaderGoneError("its reader has closed the pipe")
    return TaggerError(f"standard output: {error.strerror}; free some space or choose another place")


def _wait_for_reader() -> None:
    try:
        select.select([], [sys.stdout], [])
    except (OSError, ValueError):  # it cannot be waited for
        time.sleep(0.01)


def say(text: str, *details: str) -> None:
    """Print a message on standard error, and its details below it, indented."""
    with contextlib.suppress(OSError):  # the work continues even if nobody reads the messages
        click.echo(laid_out(text, *details), err=True)


def laid_out(text: str, *details: str) -> str:
    """Return a message as standard error shows it: safe for a terminal, and on a terminal wrapped at words.

    Elsewhere each line stays whole, because programs read it.
    """
    width = _terminal_width(sys.stderr)
    lines = []
    for indent, line in (("", text), *(("  ", detail) for detail in details)):
        lines += _wrapped(indent + visible(abridged(line)), width)
    return "\n".join(lines)


def show(text: str) -> None:
    """Write text to standard output, on a terminal wrapped at words."""
    width = _terminal_width(sys.stdout)
    lines = (part for line in text.removesuffix("\n").split("\n") for part in (_wrapped(line, width) or [""]))
    write("".join(f"{line}\n" for line in lines).encode())


def _wrapped(line: str, width: int | None) -> list[str]:
    """Return a line in parts that fit on a terminal, all but the first indented by two more characters."""
    if width is None or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _terminal_width(stream: IO[str] | None) -> int | None:
    """Return the width of the terminal that shows a stream, or None if that is not a terminal."""
    try:
        if stream is None or not stream.isatty():
            return None
        return max(40, os.get_terminal_size(stream.fileno()).columns or 80)
    except (OSError, ValueError, AttributeError):  # the stream is closed, or has no descriptor
        return None


def refuse_own_output(*paths: str | os.PathLike[str]) -> None:
    """Raise TaggerError if standard output goes to one of the files that are to be read; `-` is standard input.

    Reading would never end with `>>`, and with `>` the shell has already emptied the file.
    """
    output = _regular_file(sys.stdout)
    if output is None:
        return
    for path in paths:
        with contextlib.suppress(OSError, ValueError):  # opening the file will say what is wrong with it
            found = _regular_file(sys.stdin) if str(path) == "-" else os.stat(path)  # noqa: PTH116 (an open file)
            if found is None or (found.st_dev, found.st_ino) != (output.st_dev, output.st_ino):
                continue
            name = "<standard input>" if str(path) == "-" else path
            if output.st_size == 0:
                raise TaggerError(
                    f"{name}: is also standard output, so the shell has emptied it before it could be read, expected"
                    " another file for the result; restore the file, then redirect to another name"
                )
            raise TaggerError(
                f"{name}: is also standard output, so reading it would never end, expected another file for the result;"
                " redirect to another name"
            )


def require_working_directory() -> None:
    """Raise TaggerError if the working directory has been deleted: no relative path would lead anywhere."""
    try:
        os.getcwd()  # noqa: PTH109 (only its error matters)
    except OSError as error:
        raise TaggerError(
            f"the working directory: {error.strerror}, it may have been deleted; change to a directory that exists"
        ) from None


def _regular_file(stream: IO[str] | None) -> os.stat_result | None:
    """Return what the system knows about a stream's file, or None if it is not a regular file."""
    try:
        found = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError):  # a stream without a descriptor
        return None
    return found if found is not None and stat.S_ISREG(found.st_mode) else None


def _is_pipe(stream: IO[str]) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def prepare_process() -> None:
    """Set up the process: signals, standard streams and the interpreter.

    SIGTERM raises SystemExit, and closed standard streams are replaced with the null device.
    """
    tune_interpreter()
    sys.unraisablehook = _report_unraisable
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    for descriptor in (0, 1, 2):  # the next file that is opened would get the descriptor of a closed stream
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _report_unraisable(found: sys.UnraisableHookArgs) -> None:
    # Where memory runs out, generators cannot be closed either; the error that ends the command says it once.
    if not issubclass(found.exc_type, MemoryError):
        sys.__unraisablehook__(found)


def end_process(code: int) -> NoReturn:
    """End the process after `run`.

    TensorFlow takes most of a second to shut down. Skipping that is safe, because everything written has been synced.
    """
    if "tensorflow" in sys.modules:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _terminate(_number: int, _frame: object) -> NoReturn:
    sys.exit(TERMINATED)


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; errors become messages and exit codes only here."""
    code = _run(command, arguments)
    try:
        flush()
    except (OSError, _ReaderGoneError):
        # The rest of the output is lost. Without this, Python would try to write it once more at exit and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


_OUT_OF_MEMORY = (
    "out of memory: close other programs or raise the limits on memory and threads (ulimit -v, ulimit -u);"
    " otherwise use shorter sentences, a smaller training.batch_size or a smaller network"
)

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another place",
    errno.EDQUOT: "free some space or choose another place",
    errno.EFBIG: "free some space or choose another place",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOENT: "check the path",
}


def _explained(error: Exception) -> str | None:
    """Return what failed and what to do, for an error that no other part has explained; None if it is a bug."""
    if is_out_of_memory(error):
        return _OUT_OF_MEMORY
    if isinstance(error, ImportError) and not (error.name or "tagger").startswith("tagger"):
        return f"{error.name} cannot be imported: {error}; run pip install . in a clone of tagger to reinstall it"
    if isinstance(error, zlib.error):
        return f"a compressed file is damaged: {error}; get it again"
    if not isinstance(error, OSError):
        return None
    if "temporary directory" in str(error):
        return "temporary files: no directory can be written; free some space, or set TMPDIR to a directory that can"
    what = error.filename if error.filename is not None else "a file"
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and its permissions")
    return f"{what}: cannot be read or written: {reason}; {remedy}"


def _run(command: click.Command, arguments: Sequence[str]) -> int:
    try:
        result = command.main(list(arguments), prog_name="tagger", standalone_mode=False)
        flush()
        return result if isinstance(result, int) else 0
    except TaggerError as error:
        say(f"error: {error.message}", *error.detail)
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        usage = [] if context is None else [*context.get_usage().split("\n"), f"see {context.command_path} --help"]
        message = unknown_option(error) if isinstance(error, click.NoSuchOption) else error.format_message()
        say(f"error: {message}", *usage)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except _ReaderGoneError:
        return 0
    except Exception as error:
        text = _explained(error)
        if text is None:
            raise  # a bug in tagger
        say(f"error: {text}")
        return 1
