"""Run `tagger train` with stock Keras LSTM layers instead of the fused kernel, for measure_results.py --stock."""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import Any

from tagger.cli import commands
from tagger.network import devices
from tagger.network.bilstm import Kernel
from tagger.training import train as train_module
from tagger.training.parts import Parts
from tagger.training.train import train


def choose_device(*arguments: Any, **options: Any) -> devices.Device:
    return dataclasses.replace(devices.choose_device(*arguments, **options), kernel=Kernel.PLAIN)


if __name__ == "__main__":
    # The command imports `train` when it runs, and so finds this one.
    train_module.train = functools.partial(train, parts=Parts(choose_device=choose_device))
    sys.exit(commands.run(["train", *sys.argv[1:]]))
