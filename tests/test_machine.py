"""The amount of free memory, read from files of the operating system."""

from __future__ import annotations

import functools
from pathlib import Path

from tagger.machine import available_memory


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
