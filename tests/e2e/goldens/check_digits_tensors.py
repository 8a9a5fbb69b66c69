#!/usr/bin/env python3
"""Compare the tensors of a compiled digits_tensors.tfx with the references, and with PyTorch's error.

    build/tfxc tests/e2e/goldens/digits_tensors.tfx -o /tmp/t.so
    .venv/bin/python tests/e2e/goldens/check_digits_tensors.py /tmp/t.so

Ends with 0 when no error is more than twice PyTorch's: of the intermediate tensors (batch 1 and 3) both
the largest and the root mean square, of the logits (all 360 test images) the root mean square. README.md
says why not the largest of the logits. Needs numpy only.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DIGITS = ROOT / "examples" / "digits"
sys.path.insert(0, str(ROOT / "examples" / "embed_python"))
import tfx  # noqa: E402

FACTOR = 2.0


def size(error):
    """(largest, root mean square) of an array of errors; infinite when one is not a number."""
    error = np.nan_to_num(np.abs(error.astype(np.float64)), nan=np.inf)
    return error.max(), np.sqrt(np.mean(error**2))


def report(batch, name, ours, torch, gated):
    """Print one line; whether the statistics named in `gated` (0 largest, 1 rms) stay within FACTOR."""
    ratio = [o / t if t else (0.0 if o == 0 else np.inf) for o, t in zip(ours, torch)]
    ok = all(ratio[g] <= FACTOR for g in gated)
    print(
        f"{batch:5d} {name:12s} {ours[0]:9.2e} {torch[0]:9.2e} {ratio[0]:6.2f}"
        f"   {ours[1]:9.2e} {torch[1]:9.2e} {ratio[1]:6.2f}{'' if ok else '  TOO FAR'}"
    )
    return ok


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = tfx.Model(sys.argv[1])
    entry = model.entries[0]
    names = [tensor.name for tensor in entry.outputs]
    good = True
    print(f"{'batch':5s} {'tensor':12s} {'largest':>9s} {'PyTorch':>9s} {'ratio':>6s}   {'rms':>9s} {'PyTorch':>9s} {'ratio':>6s}")
    with np.load(HERE / "digits_tensors.npz") as golden:
        wanted = {k for k in golden if f"{k}.torch_error" in golden}
        if wanted != set(names):
            sys.exit(f"expected the outputs {', '.join(sorted(wanted))}, got {', '.join(names)}")
        for row, batch in enumerate((1, 3)):
            for name, got in model.run(pixels=golden["pixels"][:batch]).items():
                if name != "logits":
                    ours = size(got - golden[name][:batch])
                    good &= report(batch, name, ours, golden[f"{name}.torch_error"][row], gated=(0, 1))

    images = np.load(DIGITS / "test_images.npy")
    exact = np.load(DIGITS / "golden_logits_f64.npy")
    most = entry.dims[0].max
    logits = np.concatenate(
        [model.run(pixels=images[i : i + most])["logits"] for i in range(0, len(images), most)]
    )
    torch = size(np.load(DIGITS / "golden_logits_f32.npy") - exact)
    good &= report(len(images), "logits", size(logits - exact), torch, gated=(1,))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
