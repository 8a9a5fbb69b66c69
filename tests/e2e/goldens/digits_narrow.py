#!/usr/bin/env python3
"""Logits of the digits model with narrow weights: writes digits_bf16.npy and digits_f16.npy.

    .venv/bin/python tests/e2e/goldens/digits_narrow.py

f32[3, 10] each: PyTorch in double precision on the first three test images, with the weight of every linear layer
rounded to that type and widened again, which is what `narrow_weights linear in "**"` promises. Prints how much the
logits change, and the accuracy on all test images.
"""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "examples" / "digits"))
from vit import load  # noqa: E402


def narrow(model, dtype):
    """Round the matrices of all linear layers of the encoder and the classifier, in place."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = module.weight.data.to(torch.float32).to(dtype).to(torch.float64)
    return model


def main():
    x = torch.from_numpy(np.load(HERE / "pixels_3.npy")).double()
    images = torch.from_numpy(np.load(HERE.parents[2] / "examples" / "digits" / "test_images.npy")).double()
    labels = np.load(HERE.parents[2] / "examples" / "digits" / "test_labels.npy")
    with torch.inference_mode():
        exact = load(dtype=torch.float64)(x).numpy()
        for name, dtype in (("bf16", torch.bfloat16), ("f16", torch.float16)):
            model = narrow(load(dtype=torch.float64), dtype)
            y = model(x).numpy()
            right = (model(images).numpy().argmax(1) == labels).mean() * 100
            print(f"{name}: largest change of a logit {np.abs(y - exact).max():.3g} of {np.abs(exact).max():.3g}, "
                  f"accuracy {right:.2f} %")
            np.save(HERE / f"digits_{name}.npy", y.astype(np.float32))


if __name__ == "__main__":
    main()
