"""What the tables of models (text.py, vision.py, decoders.py, blocks.py) are made of, and how a row becomes files.

A row NAME belongs to the program tests/models/NAME.tfx. It writes tests/models/NAME/model.safetensors, with the names
that PyTorch's checkpoint has, and one CASE.npz or ENTRY.CASE.npz per case: the inputs and outputs by the names that the
program gives them. A session, of a program with states, is a folder of STEP.ENTRY.npz or STEP.ENTRY.DIM.NUMBER.npz.
Outputs are computed in double precision from the float32 weights and then rounded to float32.
"""

import shutil
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import numpy as np
import safetensors.torch
import torch

FLOAT32 = torch.float32  # torch.float32 itself is another one while in_double
HERE = Path(__file__).resolve().parent


@dataclass
class Row:
    name: str
    make: Callable  # () -> PyTorch's module
    cases: dict = field(default_factory=dict)  # "CASE" or "ENTRY.CASE" -> {input: array}
    run: Callable = None  # (module, entry or None, {input: tensor}) -> {output: tensor}; floats are double
    sessions: dict = field(default_factory=dict)  # "SESSION" -> what converse makes it of
    converse: Callable = None  # (module, that) -> for each step: entry, {dim: number}, {input: array}, {output: array}


def generator(text):
    """Random numbers that depend on a name alone."""
    return np.random.default_rng(zlib.crc32(text.encode()))


def randomise(module, name):
    """Weights that make every part matter: activations of order one, sharp attention, biases and gains off their rest."""
    rng = generator(name)
    with torch.no_grad():
        for key, p in sorted(module.named_parameters()):
            x = rng.standard_normal(tuple(p.shape))
            if p.dim() < 2:
                gain = key.endswith("weight")
                x = gain + 0.3 * x
            elif "embedding" not in key:
                x *= 1.5 / np.sqrt(np.prod(p.shape[1:]))
            p.copy_(torch.from_numpy(np.asarray(x)))
        for key, b in sorted(module.named_buffers()):  # running statistics of batch_norm
            if key.endswith("running_mean"):
                b.copy_(torch.from_numpy(0.3 * rng.standard_normal(tuple(b.shape))))
            if key.endswith("running_var"):
                b.copy_(torch.from_numpy(rng.uniform(0.5, 2, tuple(b.shape))))


@contextmanager
def in_double():
    """Where transformers asks for float32 by name (rotary tables, softmax), it gets float64."""
    was = torch.float, torch.float32, torch.Tensor.float
    torch.float = torch.float32 = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float, torch.float32, torch.Tensor.float = was


def save_weights(module, to):
    """As the checkpoints are: Hugging Face's classes rename and drop tensors when they save."""
    if hasattr(module, "save_pretrained"):
        with tempfile.TemporaryDirectory() as scratch:
            module.save_pretrained(scratch)
            shutil.copyfile(Path(scratch) / "model.safetensors", to)
    else:
        safetensors.torch.save_file(module.state_dict(), to)


def write(row):
    to = HERE / row.name
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    torch.manual_seed(0)
    module = row.make().eval()
    randomise(module, row.name)
    if any(True for _ in module.parameters()):
        save_weights(module, to / "model.safetensors")
    weights = {k: v.double() for k, v in module.state_dict().items() if v.is_floating_point()}
    with in_double(), torch.inference_mode():
        module = row.make().eval().double()  # made anew: what is no weight is double, too
        module.load_state_dict(weights, strict=False)
        for key, b in module.named_buffers():  # rotary frequencies are float32 for everybody
            if key.endswith("inv_freq"):
                b.copy_(b.to(FLOAT32).double())
        for case, inputs in row.cases.items():
            entry = case.rsplit(".", 1)[0] if "." in case else None
            tensors = {k: torch.from_numpy(np.asarray(v)) for k, v in inputs.items()}
            given = {k: t.double() if t.is_floating_point() else t for k, t in tensors.items()}
            outputs = {k: v.numpy() for k, v in row.run(module, entry, given).items()}
            save_case(to / f"{case}.npz", inputs, outputs)
        for session, prompt in row.sessions.items():
            (to / session).mkdir()
            for i, (entry, dims, inputs, outputs) in enumerate(row.converse(module, prompt)):
                parts = [str(i), entry, *(f"{k}.{v}" for k, v in dims.items())]
                save_case(to / session / f"{'.'.join(parts)}.npz", inputs, outputs)
    size = sum(f.stat().st_size for f in to.rglob("*.*"))
    print(f"{row.name:24} {len(row.cases) + len(row.sessions):3} cases {size / 1024:7.1f} KiB")
    return size


def save_case(path, inputs, outputs):
    for k, v in outputs.items():
        assert np.isfinite(v).all(), f"{path}: {k} is not finite"
    rounded = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in outputs.items()}
    np.savez_compressed(path, **inputs, **rounded)
