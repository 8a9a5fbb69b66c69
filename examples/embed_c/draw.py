#!/usr/bin/env python3
"""Write page.txt: sums in other people's handwriting, from the test images of examples/digits.

    .venv/bin/python examples/embed_c/draw.py

Every pixel is one character, from '.' for paper to '@' for ink, so that the picture can be seen and
nothing of it is lost: add.c reads back the same 17 shades.
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SHADES = ".',:;~-=+iox%X#&@"
SUMS = 10


def main():
    pictures = np.load(HERE.parent / "digits" / "test_images.npy")[: 4 * SUMS, 0]
    shades = np.rint(pictures * 16).astype(int)
    assert (shades / 16 == pictures).all()
    lines = ["# Ten sums of two handwritten numbers. draw.py made this file."]
    for four in shades.reshape(SUMS, 4, 8, 8):
        lines.append("")
        for y in range(8):
            rows = ["".join(SHADES[v] for v in digit[y]) for digit in four]
            lines.append("|{}|{}| + |{}|{}|".format(*rows))
    (HERE / "page.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
