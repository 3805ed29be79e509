"""What is run by hand or by `make`, from the root of the repository.

    python -m scripts.data.panel

Folders say what for: `benchmarks` measures and writes the numbers of the pages, `data` makes the
sample data, `demo` shows the package and makes the pictures, `docs` draws the code, `checks` tries
it in other environments, `cluster` starts fits elsewhere. Scripts import each other by their full
names, so that no name of a file can hide another's.
"""
