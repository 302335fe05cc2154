"""Write the help of scripts into a folder and their exit statuses to standard output: python … FOLDER SCRIPT…

Each script runs in a fork of this process, which has imported what most of them need.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import tagger.api
import tagger.config.keys
import tagger.prediction.onnx_session
import tagger.report.build
import tagger.runs.crossval  # noqa: F401


def main(folder: str, *scripts: str) -> None:
    statuses = {}
    for script in scripts:
        process = os.fork()
        if not process:
            output = os.open(Path(folder) / script.replace("/", "."), os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.argv, sys.path[0] = [script, "--help"], str(Path(script).parent)
            status = 0
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as end:
                status = int(end.code or 0)
            sys.stdout.flush()
            os._exit(status)  # at once: taking apart what the fork was given takes longer than the script
        statuses[script] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    sys.stdout.write(json.dumps(statuses))


if __name__ == "__main__":
    main(*sys.argv[1:])
