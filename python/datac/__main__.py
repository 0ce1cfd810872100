"""The command: `datac`, and `python -m datac`."""

import os
import sys

from ._datac import main as _main


def main() -> None:
    """Runs the command with the arguments of the process, and ends the process with its exit code."""
    if sys.executable:
        # Converters in Python see the packages that are installed beside this one.
        os.environ.setdefault("DATAC_PYTHON", sys.executable)
    sys.exit(_main(["datac", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
