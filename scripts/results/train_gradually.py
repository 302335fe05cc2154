"""Run `tagger train` twice, for pretraining.py: at first, everything that was pretrained stays as it is.

The second training begins with the model of the first one, and changes everything.
"""

from __future__ import annotations

import sys

from tagger.cli import commands

FIRST = ("training.freeze=[embedding, characters, casing, block_1]", "training.epochs=5", "training.patience=null")
MODEL, PRETRAINED = "--model=", "--set=model.pretrained="

if __name__ == "__main__":
    arguments = sys.argv[1:]
    (model,) = (argument.removeprefix(MODEL) for argument in arguments if argument.startswith(MODEL))
    settings = [argument for argument in arguments if not argument.startswith(MODEL)]
    code = commands.run(["train", *settings, *(f"--set={one}" for one in FIRST), f"{MODEL}{model}-first"])
    if code == 0:
        others = [setting for setting in settings if not setting.startswith(PRETRAINED)]
        code = commands.run(["train", *others, "--init-from", f"{model}-first", f"{MODEL}{model}"])
    sys.exit(code)
