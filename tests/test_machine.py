"""The amount of free memory, read from files of the operating system, and errors that come from too little of it."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tagger.machine import available_memory, raise_if_out_of_memory


def test_free_memory_is_the_smaller_amount_of_the_machine_and_the_container(
    tmp_path: Path,
) -> None:
    found = functools.partial(available_memory, meminfo=tmp_path / "meminfo", cgroup=tmp_path)
    assert found() is None
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemAvailable:    5000 kB\n")
    assert found() == 5_120_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\nactive_file 7\nother_active_file 9\n")
    assert found() == 5_120_000
    (tmp_path / "memory.max").write_text("3000000\n")
    assert found() == 2_100_007


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "x"),
        ImportError("Exception caught: std::bad_alloc"),
        RuntimeError("bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 9"),
        ImportError("libx.so: failed to map segment from shared object"),
        ImportError("libx.so: cannot allocate memory in static TLS block"),
        RuntimeError("can't start new thread"),
    ],
)
def test_an_error_of_too_little_memory_becomes_a_memory_error(error: Exception) -> None:
    with pytest.raises(MemoryError):
        raise_if_out_of_memory(error)


def test_other_errors_do_not_come_from_too_little_memory() -> None:
    for error in (OSError(28, "No space left on device"), RuntimeError("Non-zero status code"), ValueError("")):
        raise_if_out_of_memory(error)
