"""A text that is tokenised once and kept as numbers on disk, so that any size of text takes the same memory.

The directory `DIR.text/` beside the output holds `numbers.bin`, the number of each token (little-endian, 4 bytes);
`forms.txt`, line n of which (from 0) is the token with the number n + 2; and `text.json`, which describes the text.
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.atomic import explain_not_writable, write_atomically, write_blocks_atomically
from tagger.errors import DataError, ModelError
from tagger.formats.raw_sentences import RawSettings, raw_sentences
from tagger.inputs.vocabulary import N_RESERVED, is_line

BOUNDARY, OTHER = 0, 1  # the numbers of the end of a sentence, and of each token that gets no number of its own
_NUMBERS, _FORMS, _DESCRIPTION = "numbers.bin", "forms.txt", "text.json"
_LEFTOVER = re.compile(rf"\.({_NUMBERS}|{_FORMS}|{_DESCRIPTION})\.[0-9]+\.new")
_MOST_FORMS = 1 << 22  # distinct tokens that get a number; with more, memory would grow with the text
_BLOCK_TOKENS = 1 << 18
_LONGEST_FORM = 1000  # characters of a token that gets a number; no word is so long


@dataclasses.dataclass(frozen=True)
class TextFile:
    """A tokenised text.

    Attributes:
        numbers: [N], the number of each token, mapped from the file; each sentence ends with `BOUNDARY`.
        forms: the distinct tokens; `forms[i]` has the number i + 2.
        counts: [2 + len(forms)], how often each number occurs.
        description: what the text is made of, as JSON values.
    """

    numbers: npt.NDArray[np.uint32]
    forms: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    description: dict[str, Any]

    @property
    def n_tokens(self) -> int:
        """The number of tokens, without the ends of sentences."""
        return len(self.numbers) - int(self.counts[BOUNDARY])


def place_of(output: Path, worker: int = 0) -> Path:
    """Return the directory of the tokenised text beside an output directory; each worker has one of its own."""
    target = output.resolve()
    return target.with_name(f"{target.name}.text" + (f"-{worker}" if worker else ""))


def tokenise(
    paths: Sequence[str],
    settings: RawSettings,
    directory: Path,
    description: dict[str, Any],
    *,
    say: Callable[[str], None] = lambda text: None,
    on_tokens: Callable[[int], None] = lambda n: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TextFile | None:
    """Tokenise files into a directory, unless it already holds the same text; None if asked to stop.

    Args:
        settings: how to read them.
        description: that of `describe`, for these files and settings.
        say: called with how each file is read, or with the place of the text that is used again.
        on_tokens: called with the number of tokens of each block.

    Raises:
        DataError: a file cannot be read, or there is no token in any.
        ModelError: the directory cannot be written, or holds something else.
    """
    found = _open(directory, description)
    if found is not None:
        say(f"the tokens of RAW are in {directory} already")
        return found
    _check_place(directory)
    forms: dict[str, int] = {}

    class Stopped(Exception):  # noqa: N818 (a request, not an error)
        pass

    def blocks() -> Iterator[memoryview]:
        for block in _blocks(raw_sentences(paths, settings, say), forms):
            if should_stop():
                raise Stopped
            on_tokens(len(block))
            yield block.view(np.uint8).data

    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _DESCRIPTION).unlink(missing_ok=True)
        write_blocks_atomically(directory / _NUMBERS, blocks())
        write_atomically(directory / _FORMS, "".join(f"{form}\n" for form in forms).encode())
        size = (directory / _NUMBERS).stat().st_size
        if size == 0:
            raise DataError(f"{', '.join(paths)}: found no token, expected text; name other files")
        checksum = _checksum(directory)
        write_atomically(directory / _DESCRIPTION, json.dumps({**description, "sha256": checksum}).encode())
    except Stopped:
        return None
    except OSError as error:
        raise explain_not_writable(directory, error) from None
    finally:
        with contextlib.suppress(OSError):
            if not (directory / _DESCRIPTION).exists():
                remove(directory)
    return _open(directory, description)


def text_in_memory(sentences: Iterable[Sequence[str]]) -> TextFile:
    """Return sentences as a text that is in no file."""
    forms: dict[str, int] = {}
    numbers = np.concatenate([np.zeros(0, np.uint32), *_blocks(sentences, forms)])
    return TextFile(numbers, tuple(forms), np.bincount(numbers, minlength=N_RESERVED + len(forms)), {})


def _blocks(sentences: Iterable[Sequence[str]], forms: dict[str, int]) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield the numbers of sentences; new tokens are added to `forms` as long as there is room."""
    numbers = array.array("I")
    for tokens in sentences:
        for token in tokens:
            number = forms.get(token)
            if number is None:
                number = OTHER
                if len(forms) < _MOST_FORMS and len(token) <= _LONGEST_FORM and is_line(token):
                    number = forms[token] = N_RESERVED + len(forms)
            numbers.append(number)
        numbers.append(BOUNDARY)
        if len(numbers) >= _BLOCK_TOKENS:
            yield np.array(numbers, "<u4")
            del numbers[:]
    if numbers:
        yield np.array(numbers, "<u4")


def _open(directory: Path, description: dict[str, Any]) -> TextFile | None:
    """Return the text in a directory if it is the described one and undamaged."""
    try:
        stored = json.loads((directory / _DESCRIPTION).read_bytes())
        checksum = stored.pop("sha256")
        if stored != description or checksum != _checksum(directory):
            return None
        numbers: npt.NDArray[np.uint32] = np.memmap(directory / _NUMBERS, "<u4", "r")
        forms = tuple((directory / _FORMS).read_bytes().decode().split("\n")[:-1])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    counts = np.zeros(N_RESERVED + len(forms), np.int64)
    for start in range(0, len(numbers), _BLOCK_TOKENS):
        counts += np.bincount(numbers[start : start + _BLOCK_TOKENS], minlength=len(counts))
    return TextFile(numbers, forms, counts, description)


def _checksum(directory: Path) -> str:
    digest = hashlib.sha256()
    for name in (_NUMBERS, _FORMS):
        with (directory / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _check_place(directory: Path) -> None:
    """Refuse a directory that holds anything but a tokenised text; remove partial files of a killed process."""
    try:
        entries = list(directory.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise explain_not_writable(directory, error) from None
    for path in entries:
        if _LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)
        elif path.name not in (_NUMBERS, _FORMS, _DESCRIPTION):
            raise ModelError(
                f"{directory}: found {path.name} in it, expected the place for the tokenised text; move that directory,"
                " or choose another place with -o"
            )


def remove(directory: Path) -> None:
    """Remove a tokenised text, as far as that is possible."""
    for name in (_DESCRIPTION, _NUMBERS, _FORMS):
        with contextlib.suppress(OSError):
            (directory / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
