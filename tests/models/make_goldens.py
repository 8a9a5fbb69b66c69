#!/usr/bin/env python3
"""Write the weights and cases of tests/models: what tests/run_models.sh compares the standard library with.

    .venv/bin/python tests/models/make_goldens.py [NAME...]

A model is one row of a table in text.py, vision.py, decoders.py or blocks.py; goldens.py says what a row is and which files it becomes.
Everything is seeded: the same versions of the packages give the same bytes.
"""

import sys

import blocks
import decoders
import text
import vision
from goldens import write

ROWS = [*blocks.ROWS, *text.ROWS, *vision.ROWS, *decoders.ROWS]


def main():
    names = {row.name for row in ROWS}
    if unknown := set(sys.argv[1:]) - names:
        sys.exit(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    size = sum(write(row) for row in ROWS if len(sys.argv) == 1 or row.name in sys.argv[1:])
    print(f"{size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
