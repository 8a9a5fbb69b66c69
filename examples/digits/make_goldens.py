#!/usr/bin/env python3
"""Write PyTorch's logits of every test image: golden_logits_f32.npy and golden_logits_f64.npy.

    .venv/bin/python examples/digits/make_goldens.py

f32 [360, 10] is what PyTorch computes in single precision on one thread; f64 [360, 10] is the same
model with the same (f32) weights computed in double precision, the reference that errors are
measured against. Prints how far the two are apart.
"""

import numpy as np
import torch

from vit import HERE, load


def main():
    torch.set_num_threads(1)
    x = torch.from_numpy(np.load(HERE / "test_images.npy"))
    y = np.load(HERE / "test_labels.npy")
    with torch.inference_mode():
        f32 = load()(x).numpy()
        f64 = load(dtype=torch.float64)(x.double()).numpy()
    np.save(HERE / "golden_logits_f32.npy", f32)
    np.save(HERE / "golden_logits_f64.npy", f64)
    top2 = np.sort(f64, axis=1)[:, -2:]
    print(f"accuracy f32 {(f32.argmax(1) == y).mean() * 100:.2f} %, f64 {(f64.argmax(1) == y).mean() * 100:.2f} %")
    print(f"largest |f32 - f64| {np.abs(f32 - f64).max():.3g}, largest |logit| {np.abs(f64).max():.3g}")
    print(f"smallest gap between the two best classes {(top2[:, 1] - top2[:, 0]).min():.3g}")


if __name__ == "__main__":
    main()
