"""Run the command line as `python -m transformertf`."""

import sys

from transformertf.cli import main

if __name__ == "__main__":
    sys.exit(main())
