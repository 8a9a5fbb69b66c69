#!/usr/bin/env python3
"""Read the handwritten digits of examples/digits with a compiled model.

    build/tfxc examples/digits/digits.tfx -o build/digits.so
    python3 examples/embed_python/demo.py build/digits.so

Ends with 0 when at least 96 % are right and every logit is within 1e-4 of PyTorch's.
"""

import pathlib
import sys

import numpy as np

import tfx

DIGITS = pathlib.Path(__file__).resolve().parent.parent / "digits"


def classify(model, images):
    """Logits of any number of images, as many at a time as the model takes, into one array."""
    (entry,) = model.entries
    most = entry.dims[0].max
    logits = np.empty((len(images), entry.outputs[0].shape[1]), entry.outputs[0].dtype)
    for i in range(0, len(images), most):
        model.run(pixels=images[i : i + most], out={"logits": logits[i : i + most]})
    return logits


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    images = np.load(DIGITS / "test_images.npy")
    labels = np.load(DIGITS / "test_labels.npy")
    with tfx.Model(sys.argv[1]) as model:
        print(model)
        logits = classify(model, images)

        # Views are run as they are: every other image, from the last to the first.
        backwards = classify(model, images[::-2])
        assert (backwards == classify(model, images[::-2].copy())).all()

        # What is wrong is an exception with the model's own words.
        try:
            model.run(pixels=images[:1].astype(np.float64))
        except tfx.Error as e:
            print(f"with float64: {e} ({e.status.name})")

    right = (logits.argmax(axis=1) == labels).mean()
    difference = np.abs(logits - np.load(DIGITS / "golden_logits_f32.npy")).max()
    print(f"test accuracy {100 * right:.2f} %, largest |logit - PyTorch's| {difference:.2g}")
    return 0 if right >= 0.96 and difference <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
