"""The `tagger` command, which also runs as `python -m tagger`."""

import os
import signal


def main() -> None:
    """Run the command line; until it is loaded, Ctrl-C ends the process without a message."""
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))
    from tagger.cli import commands

    commands.main()


if __name__ == "__main__":
    main()
