#!/usr/bin/env python3
"""Reference values of the digits model's intermediate tensors: writes digits_tensors.npz.

    .venv/bin/python tests/e2e/goldens/digits_tensors.py

For the first three test images (one of them is also run alone), the array NAME holds f64[3, 65, 64]
(logits: [3, 10]) computed in double precision from the f32 weights, and NAME.torch_error f64[2, 2]
how far PyTorch's f32 values are from it: row 0 for batch 1 (image 0 alone), row 1 for batch 3;
column 0 the largest absolute error, column 1 the root mean square. `pixels` is the input,
f32[3, 1, 8, 8]. The names are those of the outputs of digits_tensors.tfx:

    embeddings    the sum of tokens and positions              (place vit.embeddings)
    attended_L    x + attention, before the feed-forward part  (vit.encoder.layer.L:attended), L = 0..3
    layer_L       what the layer returns                       (vit.encoder.layer.L)
    norm                                                       (vit.layernorm)
    logits

PyTorch's f32 values themselves are not stored: the check needs their error only.
"""

import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parents[2] / "examples" / "digits"
sys.path.insert(0, str(DIGITS))
from vit import LAYERS, load  # noqa: E402

BATCHES = (1, 3)
NAMES = {"vit.embeddings": "embeddings", "vit.layernorm": "norm", "logits": "logits"}
for _l in range(LAYERS):
    NAMES[f"vit.encoder.layer.{_l}:attended"] = f"attended_{_l}"
    NAMES[f"vit.encoder.layer.{_l}"] = f"layer_{_l}"


def tensors(model, pixels):
    """Every noted tensor of one run, as numpy arrays by name."""
    found = {}
    with torch.inference_mode():
        model(pixels, note=lambda name, value: found.__setitem__(NAMES[name], value.numpy().copy()))
    return found


def main():
    torch.set_num_threads(1)
    pixels = torch.from_numpy(np.load(DIGITS / "test_images.npy")[: max(BATCHES)])
    exact = tensors(load(dtype=torch.float64), pixels.double())
    single = load()
    out = {"pixels": pixels.numpy(), **exact}
    errors = {name: [] for name in exact}
    for batch in BATCHES:
        for name, value in tensors(single, pixels[:batch]).items():
            error = value.astype(np.float64) - exact[name][:batch]
            errors[name].append([np.abs(error).max(), np.sqrt(np.mean(error**2))])
    for name, rows in errors.items():
        out[f"{name}.torch_error"] = np.array(rows)
        print(f"{name:12s} {str(exact[name].shape):12s} largest error {rows[-1][0]:.2e}, rms {rows[-1][1]:.2e}")
    np.savez(HERE / "digits_tensors.npz", **out)


if __name__ == "__main__":
    main()
