"""The simulation behind the claim of `tagger next`: resumable, the same sizes in both rows, honest arithmetic."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import ROOT
from stub_model import stub_predictor

from tagger.prediction.predictor import Predictor

WORDS = ["EU", "Peter", "Blackburn", "German", "a", "b"]
POOL = [f"{WORDS[i % 6]}\tx\n{WORDS[i * i % 5]}\tx\nw{i}\tx" for i in range(300)]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a training that takes no time: its F1 grows with the number of tokens."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts/results"))
    module = importlib.import_module("active_learning")
    data = module.Data(POOL, POOL[:1])
    monkeypatch.setattr(module, "FIRST", 10)
    monkeypatch.setattr(module, "data_of", lambda corpus: data)

    def trained(data: Any, labelled: Sequence[int], seed: int) -> tuple[dict[str, Any], Predictor]:
        assert len(set(labelled)) == len(labelled)
        n_tokens = data.n_tokens(labelled)
        found = {"sentences": len(labelled), "tokens": n_tokens, "f1": n_tokens / 900, "epochs": seed, "minutes": 0}
        return found, stub_predictor()

    monkeypatch.setattr(module, "trained", trained)
    return module


def run(script: ModuleType, path: Path) -> None:
    script.run_all(path, rows="wnut17", minutes=None)


def test_an_interrupted_simulation_continues_as_if_nothing_had_happened(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(script, whole)
    real, n_runs = script.trained, 0

    def failing(*arguments: Any) -> Any:
        nonlocal n_runs
        n_runs += 1
        if n_runs % 3 == 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(script, "trained", failing)
    for _ in range(100):
        try:
            run(script, parts)
            break
        except KeyboardInterrupt:
            continue
    assert parts.read_text() == whole.read_text()
    run(script, whole)
    assert parts.read_text() == whole.read_text()  # a finished one does nothing


def test_both_rows_have_the_same_sizes_and_end_at_the_target(script: ModuleType, tmp_path: Path) -> None:
    run(script, tmp_path / "runs")
    runs = script.load(tmp_path / "runs")
    for seed in script.SEEDS:
        chance, ours = (script.find(runs, "wnut17", row, seed) for row in ("random", "next"))
        assert chance[0]["tokens"] == ours[0]["tokens"] == 30
        assert [run["tokens"] for run in chance] == [run["tokens"] for run in ours]  # all sentences have three tokens
        assert [run["round"] for run in chance] == list(range(len(chance)))
        assert chance[-1]["f1"] >= 0.95 > chance[-2]["f1"]


def test_the_table_is_what_the_runs_say(script: ModuleType, tmp_path: Path) -> None:
    def line(row: str, seed: int, round_: int, tokens: int, f1: float) -> str:
        return json.dumps({"corpus": "wnut17", "row": row, "seed": seed, "round": round_, "tokens": tokens, "f1": f1})

    lines = []
    for seed, ours in ((1, 200), (2, 100)):
        lines += [
            line("full", seed, 0, 1000, 0.8),
            line("random", seed, 0, 100, 0.52),
            line("random", seed, 1, 400, 1.0),
        ]
        lines += [line("next", seed, 0, 25, 0.5), line("next", seed, 1, ours, 0.76)]
    lines += [line("full", 3, 0, 1000, 0.8), line("random", 3, 0, 100, 0.1)]  # not finished
    path = tmp_path / "runs"
    path.write_text("\n".join(lines))
    # Random: 0.76 is halfway between 0.52 and 1.0, so 100·4^(1/2) tokens; next: 200 and 100.
    assert script.table(script.load(path)).splitlines()[2:] == [
        "| WNUT-17 | 2 | 80.00 ± 0.00 | 1,000 | 200 (20.00 ± 0.00 %) | 150 (15.00 ± 7.07 %) | **75.00 ± 35.36 %** |"
    ]


def test_the_curves_are_drawn(script: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    run(script, tmp_path / "runs")
    script.plot(script.load(tmp_path / "runs"), tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text("utf-8")
    assert drawn.startswith("<svg")
    assert "WNUT-17" in drawn
    assert "labelled tokens" in drawn
