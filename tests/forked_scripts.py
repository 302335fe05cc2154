"""Run scripts that import much of the package quickly: each one in a fork of a process that has imported it.

On systems that cannot fork, it starts a new process for each script.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_scripts(commands: Sequence[Sequence[str]], folder: Path) -> list[tuple[int, str]]:
    """Return the exit status of each script with its options, and all that it has written.

    Args:
        commands: the paths of the scripts, from the root of the repository, each with its options.
        folder: an empty folder for what they write.
    """
    if not hasattr(os, "fork"):
        found = [
            subprocess.run([sys.executable, *one], capture_output=True, text=True, check=False, cwd=ROOT)
            for one in commands
        ]
        return [(one.returncode, one.stdout + one.stderr) for one in found]
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], input=json.dumps(commands),
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=300,
    )  # fmt: skip
    return [
        (status, (folder / str(number)).read_text("utf-8")) for number, status in enumerate(json.loads(done.stdout))
    ]


def _run_in_fork(script: str, options: Sequence[str], output: Path) -> int:
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    stream = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    sys.argv, sys.path[0] = [script, *options], str(Path(script).parent)
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # at once: taking apart what the fork was given takes longer than the script


if __name__ == "__main__":
    import tagger.api
    import tagger.config.keys
    import tagger.prediction.onnx_session
    import tagger.report.build
    import tagger.runs.crossval  # noqa: F401

    commands = json.load(sys.stdin)
    statuses = [
        _run_in_fork(script, options, Path(sys.argv[1]) / str(number))
        for number, (script, *options) in enumerate(commands)
    ]
    json.dump(statuses, sys.stdout)
