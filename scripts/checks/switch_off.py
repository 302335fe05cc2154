"""Switch off one check of `tagger` after the other, and require that a fuzzer notices it.

    python scripts/checks/switch_off.py                        # all checks: a quarter of an hour
    python scripts/checks/switch_off.py --checks graph links

A fuzzer that never finds anything proves nothing. So each promise in SECURITY.md has a check here (`switches.py`). In
the process of the fuzzer only, it is replaced by one that accepts everything. The fuzzer must then find an input that
goes wrong among its first 10,000. Prints a line for each check, and exits with 1 if one was not missed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from switches import MODELS, PROCESSES, SWITCHES

FOLDER = Path(__file__).resolve().parent


def first_wrong_input(check: str, inputs: int, seed: int) -> tuple[int | None, str]:
    """Return the number of the first input that goes wrong without a check, and how; None if a fuzzer finds none."""
    if check in PROCESSES:
        script, options = "attack.py", ["--kills", str(inputs // 100), "--terminals=0", "--exports=0", "--pairs=0"]
    else:
        script = "fuzz.py" if check in MODELS else "fuzz_conll.py"
        options = ["--inputs", str(inputs), *(["--stop-at-first"] if check in MODELS else [])]
    command = [sys.executable, str(FOLDER / script), "--seed", str(seed), "--without", check, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr + done.stdout
    found = re.search(r"^(?:violation at )?input (\d+)\b.*", said, re.MULTILINE)
    if done.returncode == 1 and found:
        return int(found[1]), found[0]
    if done.returncode == 0 and not found:
        return None, ""
    raise SystemExit(f"{script} failed without {check}:\n{said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checks", nargs="+", choices=SWITCHES, default=list(SWITCHES), metavar="CHECK")
    parser.add_argument("--inputs", type=int, default=10_000, metavar="N", help="the most inputs to try for each")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    missed = []
    for check in arguments.checks:
        start = time.monotonic()
        number, said = first_wrong_input(check, arguments.inputs, arguments.seed)
        seconds = time.monotonic() - start
        if number is None:
            missed.append(check)
            print(f"{check}: NOT NOTICED in {arguments.inputs} inputs ({seconds:.0f} s)", flush=True)
        else:
            print(f"{check}: noticed at input {number} ({seconds:.0f} s): {said[:110]}", flush=True)
    print(f"{len(arguments.checks) - len(missed)} of {len(arguments.checks)} were noticed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
