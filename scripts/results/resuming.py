"""Run what is missing in a file of results, one JSON object a line, for scripts that may be stopped at any time."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from small_data import load


def parser_of(description: str | None, work: str) -> argparse.ArgumentParser:
    """Return the arguments that these scripts share; `work` is the name of the default folder for what they train."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), work))
    parser.add_argument("--rows", default="", help="only the runs whose name has this text, as in 'wnut17 seed 1'")
    parser.add_argument("--table", action="store_true")
    return parser


def run_missing(
    arguments: argparse.Namespace,
    keys: Iterable[tuple[str, int]],
    one: Callable[[str, int], dict[str, Any]],
) -> None:
    """Run each corpus and seed that the file lacks and `--rows` allows, and add its result to the file."""
    done = {(run["corpus"], run["seed"]) for run in load(arguments.runs)}
    for corpus, seed in keys:
        if (corpus, seed) in done or arguments.rows not in f"{corpus} seed {seed}":
            continue
        found = {"corpus": corpus, "seed": seed, **one(corpus, seed)}
        with arguments.runs.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found), flush=True)
