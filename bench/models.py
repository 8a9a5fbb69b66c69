"""The models that the benchmark runs: one row of MODELS each.

A row gives every engine the same weights: `module` loads the PyTorch module from the very safetensors
file that the .tfx source names. To add a model, write its loader and its inputs, and add a row.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    source: pathlib.Path  # the .tfx file
    module: Callable[[], torch.nn.Module]  # the same in PyTorch, f32, eval mode
    inputs: Callable[[int], dict[str, np.ndarray]]  # batch size -> inputs by name, in order
    outputs: tuple[str, ...]
    tokens: int  # of one row of the batch
    batches: tuple[int, ...]
    max_batch: int
    tolerance: float  # largest |output - f64 reference| that an engine may show
    dtype: str = "f32"
    onnx_type: str = "bert"  # what onnxruntime's offline optimizer calls this family
    heads: int = 0  # told to that optimizer
    dim: int = 0


def _digits_folder():
    folder = ROOT / "examples" / "digits"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def _digits_module():
    _digits_folder()
    import vit

    return vit.load()


def _digits_inputs(batch):
    return {"pixels": np.ascontiguousarray(np.load(_digits_folder() / "test_images.npy")[:batch])}


_ROWS = [
    Model(
        name="digits",
        source=ROOT / "examples" / "digits" / "digits.tfx",
        module=_digits_module,
        inputs=_digits_inputs,
        outputs=("logits",),
        tokens=65,
        batches=(1, 8, 64),
        max_batch=64,
        tolerance=1e-4,
        onnx_type="vit",
        heads=4,
        dim=64,
    ),
]
MODELS = {row.name: row for row in _ROWS}


def reference(model, inputs):
    """The outputs in double precision: PyTorch, f32 weights and inputs widened to f64."""
    module = model.module().double()
    widened = [
        torch.from_numpy(a).double() if a.dtype == np.float32 else torch.from_numpy(a)
        for a in inputs.values()
    ]
    with torch.inference_mode():
        return as_arrays(module(*widened))


def as_arrays(result):
    """A module's result, one tensor or several, as a list of numpy arrays."""
    many = result if isinstance(result, (tuple, list)) else (result,)
    return [t.numpy() for t in many]
