"""How much memory is free, from files that a system writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger import machine


def test_free_memory_is_the_lesser_of_the_machine_and_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert machine.available_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemAvailable:    5000 kB\n")
    assert machine.available_memory() == 5_120_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\nactive_file 7\nother_active_file 9\n")
    assert machine.available_memory() == 5_120_000
    (tmp_path / "memory.max").write_text("3000000\n")
    assert machine.available_memory() == 2_100_007
