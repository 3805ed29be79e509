"""The command line: `transformertf fit|validate|test|predict|cache`."""

from transformertf.cli.main import main

__all__ = ["main"]
