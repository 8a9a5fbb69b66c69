"""A fresh process that builds or loads an artefact; prints as JSON what that took. Started by footprint.py:

    fresh.py BEGIN build|load ARTEFACT ENGINE MODEL FORM BATCH TOKENS INPUTS.npz OPTIONS

BEGIN is the monotonic clock, in ns, when the process was started. Times count from when the engine's modules are imported.
"""

import importlib
import json
import os
import pathlib
import sys
import time
import types

import numpy as np


def peak_bytes():
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def cpu_seconds():
    """Of this process and its children, compilers among them."""
    return sum(os.times()[:4])


def library_bytes():
    """Of the shared objects of Python's packages that are loaded, but for those of NumPy, which only feeds the engine."""
    paths = {line.split()[-1] for line in pathlib.Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    return sum(os.path.getsize(p) for p in paths if "site-packages" in p and "/numpy" not in p and os.path.exists(p))


def build(engine, model, form, path, batch, tokens, inputs):
    from engines.base import quiet

    begin, cpu_begin = time.monotonic_ns(), cpu_seconds()
    with quiet():
        engine.make(model, form, batch, tokens, pathlib.Path(path + engine.suffix))
    took = (time.monotonic_ns() - begin) * 1e-9
    return {"build_s": took, "build_cpu_s": cpu_seconds() - cpu_begin, "build_peak_bytes": peak_bytes()}


def load(engine, model, form, path, batch, tokens, inputs):
    begin = time.monotonic_ns()
    call = engine.load(model, form, pathlib.Path(path), inputs)
    call.run()
    first = time.monotonic_ns()
    times = []
    for _ in range(8):
        start = time.monotonic_ns()
        call.run()
        times.append(time.monotonic_ns() - start)
    return {
        "load_s": (first - begin) * 1e-9,
        "steady_s": sorted(times)[len(times) // 2] * 1e-9,
        "process_s": (first - int(sys.argv[1])) * 1e-9,
        "peak_bytes": peak_bytes(),
        "library_bytes": library_bytes(),
    }


def main(what, path, name, model_name, form, batch, tokens, inputs, options):
    options = types.SimpleNamespace(**json.loads(options))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    from engines import ENGINES
    from models import MODELS

    with np.load(inputs) as stored:
        arrays = {k: stored[k] for k in stored.files}
    engine, model = ENGINES[name](options), MODELS[model_name]
    if model.imports and (what == "build" or not engine.ships):
        importlib.import_module(model.imports)
    print(json.dumps({"build": build, "load": load}[what](engine, model, form, path, int(batch), int(tokens), arrays)))


main(*sys.argv[2:])
