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


class Missing(Exception):
    """What a model needs and this machine does not have."""


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    source: pathlib.Path  # the .tfx file
    module: Callable[[], torch.nn.Module]  # the same in PyTorch, f32, eval mode
    inputs: Callable[[int, int], dict[str, np.ndarray]]  # batch size, tokens -> inputs by name, in order
    outputs: tuple[str, ...]
    tokens: tuple[int, ...]  # of one row of the batch
    batches: tuple[int, ...]
    max_batch: int
    tolerance: float  # largest |output - f64 reference| that an engine may show
    dtype: str = "f32"
    max_tokens: int | None = None  # when inputs have an axis of tokens, the second one
    plain_module: Callable[[], torch.nn.Module] | None = None  # with attention written out, for the older exporter
    onnx_type: str = "bert"  # what onnxruntime's offline optimizer calls this family
    heads: int = 0  # told to that optimizer
    dim: int = 0


def _example(name):
    """The folder of an example, whose Python files can then be imported."""
    folder = ROOT / "examples" / name
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def _digits_module():
    _example("digits")
    import vit

    return vit.load()


def _digits_inputs(batch, tokens):
    return {"pixels": np.ascontiguousarray(np.load(_example("digits") / "test_images.npy")[:batch])}


def _minilm_module(attention="sdpa"):
    _example("minilm")
    import reference

    if not reference.WEIGHTS.exists():
        raise Missing(f"there is no {reference.WEIGHTS}: examples/minilm/fetch gets it")
    return reference.load(attention)


def _minilm_inputs(batch, tokens):
    """Any words. In a batch, every second text is a quarter shorter, as texts are that were sorted by length."""
    random = np.random.default_rng(tokens * 100 + batch)
    mask = np.ones((batch, tokens), bool)
    mask[1::2, tokens - tokens // 4 :] = False
    return {"ids": random.integers(1000, 30522, (batch, tokens)), "mask": mask}


_ROWS = [
    Model(
        name="digits",
        source=ROOT / "examples" / "digits" / "digits.tfx",
        module=_digits_module,
        inputs=_digits_inputs,
        outputs=("logits",),
        tokens=(65,),
        batches=(1, 8, 64),
        max_batch=64,
        tolerance=1e-4,
        onnx_type="vit",
        heads=4,
        dim=64,
    ),
    Model(
        name="minilm",
        source=ROOT / "examples" / "minilm" / "minilm.tfx",
        module=_minilm_module,
        inputs=_minilm_inputs,
        outputs=("emb",),
        tokens=(16, 128, 512),
        batches=(1, 8),
        max_batch=64,
        tolerance=2e-5,
        max_tokens=512,
        plain_module=lambda: _minilm_module("eager"),
        heads=12,
        dim=384,
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
