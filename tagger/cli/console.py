"""The code for the terminal that all commands share: standard streams, signals, exit codes and error messages."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

import click

from tagger.errors import TaggerError

INTERRUPTED, TERMINATED = 130, 143
# By default Python searches for reference cycles after every 700 new objects. Sentences do not contain any, but the
# search would take a third of the time of reading and writing a file.
_GARBAGE = 100_000, 50, 100


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
                if self.exit_code or not self._begun:
                    say("stopped")
                    _leave(code)
                self.exit_code = code
                say("stopping after this step; press Ctrl-C again to stop at once")


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
    """Let Ctrl-C end the process at once while libraries are loaded and nothing has been read or written yet.

    Libraries that are interrupted while they load would turn KeyboardInterrupt into other errors.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda _number, _frame: _leave(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
        except BrokenPipeError:
            raise _ReaderGoneError from None
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
        except BrokenPipeError:
            raise _ReaderGoneError from None


def _wait_for_reader() -> None:
    select.select([], [sys.stdout], [])


def say(text: str) -> None:
    """Print a message on standard error."""
    with contextlib.suppress(OSError):  # the work continues even if nobody reads the messages
        click.echo(text, err=True)


def prepare_process() -> None:
    """Set up the process: signals, standard streams and garbage collection.

    SIGTERM raises SystemExit, closed standard streams are replaced with the null device, and garbage is collected
    rarely.
    """
    gc.set_threshold(*_GARBAGE)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    for descriptor in (0, 1, 2):  # the next file that is opened would get the descriptor of a closed stream
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


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


def _run(command: click.Command, arguments: Sequence[str]) -> int:
    try:
        result = command.main(list(arguments), prog_name="tagger", standalone_mode=False)
        flush()
        return result if isinstance(result, int) else 0
    except TaggerError as error:
        say(f"error: {error}")
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        say(f"error: {error.format_message()}")
        context = getattr(error, "ctx", None)
        if context is not None:
            say(f"  {context.get_usage()}\n  see {context.command_path} --help")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except _ReaderGoneError:
        return 0
    except ImportError as error:
        if (error.name or "tagger").startswith("tagger"):
            raise  # a bug in tagger
        say(f"error: {error.name} cannot be imported: {error}; run pip install . in a clone of tagger to reinstall it")
        return 1
    except OSError as error:
        say(f"error: {error.filename or 'standard output'}: {error.strerror}; free some space or choose another place")
        return 1
    except MemoryError:
        say("error: out of memory; use shorter sentences, a smaller training.batch_size or a smaller network")
        return 1
