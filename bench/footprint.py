"""What an engine takes beside the time of a run: to build, to ship, to start, in memory. Each figure from a fresh process.

build       from the PyTorch module (tfxc: from the source and the weights file) to what one ships, in seconds and seconds of
            processor time, and the peak memory of it
artefact    what one ships; `code` is what is left of it without the weights; `libraries` the shared objects that the
            engine loads beside it
first       from a loaded engine and an artefact in the page cache to the first result; imports are not counted
            (`process_s` of the JSON does count them). tfxc's is tfxrun's, a C program
steady      the first result over a later one of the same process, in times
memory      the peak of the process that loaded the artefact and ran it a few times; `beside` is what is left of it without
            the pages of the artefact that were touched (the system maps them 64 KiB at a time) and without the workspace
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import cache
from engines import ENGINES, Unavailable
from models import MODELS, Missing

HERE = pathlib.Path(__file__).resolve().parent
FIRSTS = 3  # processes of which the fastest start counts: the first of them warms the page cache
RUNS = 8  # after the first, in each of them


class Failed(Exception):
    pass


def last_json(command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Failed(lines[-1])
    return json.loads(done.stdout[done.stdout.index("{") :])


def size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file())


def spawn(command):
    """What a command took: see spawn.py, a small process from which it is started."""
    took = last_json([sys.executable, "-S", str(HERE / "spawn.py"), *command])
    if took["status"] != 0:
        raise Failed(f"{command[0]} ended with {took['status']}")
    return {"build_s": took["seconds"], "build_cpu_s": took["cpu_seconds"], "build_peak_bytes": took["peak_bytes"]}


def tfxc_footprint(engine, model, batch, tokens, inputs, scratch):
    path = scratch / f"{model.name}.so"
    took = spawn(engine.command(model, path))
    tfxrun = str(pathlib.Path(engine.options.tfxc).resolve().parent / "tfxrun")
    weights = last_json([tfxrun, str(path), "--describe", "--json"])["weight_bytes"]
    command = [tfxrun, str(path), "--input", str(inputs), "--bench", "--warmup", "0", "--repeats", str(RUNS), "--json"]
    found = []
    for _ in range(FIRSTS):
        begin = time.monotonic()
        said = last_json(command)["bench"]
        beside = said["peak_bytes"] - said["mapped_bytes"] - said["workspace_bytes"]
        first = 1e-9 * (said["load_ns"] + said["first_ns"])
        found.append((first, time.monotonic() - begin, said["peak_bytes"], 1e9 * first / said["median_ns"], beside))
    return took | {
        "artefact_bytes": size(path),
        "weight_bytes": weights,
        "library_bytes": 0,
        "first_s": min(f[0] for f in found),
        "process_s": min(f[1] for f in found),
        "peak_bytes": max(f[2] for f in found),
        "first_over_steady": min(f[3] for f in found),
        "beside_bytes": max(f[4] for f in found),
    }


def rival_footprint(engine, model, batch, tokens, inputs, scratch):
    form = engine.shipped_form(model)
    settings = json.dumps({"threads": engine.options.threads, "only_cached": False})

    def fresh(*what, **environment):
        command = [sys.executable, str(HERE / "fresh.py"), str(time.monotonic_ns()), *what, engine.name, model.name, form]
        return last_json([*command, str(batch), str(tokens), str(inputs), settings], **environment)

    took = {"build_s": None, "build_cpu_s": None, "build_peak_bytes": None}
    path = engine.build(model, form, batch, tokens)
    if engine.ships and not engine.options.quick:
        with tempfile.TemporaryDirectory(dir=scratch) as anew:
            took = fresh("build", f"{anew}/artefact", TFXC_BENCH_INDUCTOR=f"{anew}/inductor")
    found = [fresh("load", str(path)) for _ in range(FIRSTS)]
    return took | {
        "form": form,
        "artefact_bytes": size(path) if engine.ships else None,
        "weight_bytes": parameter_bytes(model),
        "library_bytes": found[0]["library_bytes"],
        "first_s": min(f["load_s"] for f in found),
        "process_s": min(f["process_s"] for f in found),
        "peak_bytes": max(f["peak_bytes"] for f in found),
        "first_over_steady": min(f["load_s"] / f["steady_s"] for f in found),
        "beside_bytes": None,
    }


def parameter_bytes(model):
    return sum(p.numel() * p.element_size() for p in model.module("sdpa").parameters())


def print_table(records):
    def mb(value):
        return "-" if value is None else f"{value / 1e6:.1f}"

    def seconds(value):
        return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"

    head = ("engine", "build s", "its cpu s", "its MB", "artefact MB", "code MB", "libraries MB", "first s", "steady x", "memory MB", "beside MB")
    print("  " + f"{head[0]:14s}" + "".join(f"{h:>14s}" for h in head[1:]))
    for r in records:
        code = None if r["artefact_bytes"] is None else r["artefact_bytes"] - r["weight_bytes"]
        cells = (
            seconds(r["build_s"]), seconds(r["build_cpu_s"]), mb(r["build_peak_bytes"]), mb(r["artefact_bytes"]), mb(code), mb(r["library_bytes"]),
            seconds(r["first_s"]), f"{r['first_over_steady']:.2f}", mb(r["peak_bytes"]), mb(r["beside_bytes"]),
        )  # fmt: skip
        print(f"  {r['engine']:14s}" + "".join(f"{c:>14s}" for c in cells))


def footprint(options):
    """(records, whether all that was asked for could be measured)."""
    records, good = [], True
    for name in options.model or [m for m in MODELS if MODELS[m].quick]:
        model = MODELS[name]
        batch = (options.batch or [1])[0]
        tokens = (options.tokens or [model.tokens[0] if not model.max_tokens else 128])[0]
        print(f"\n{name}, batch {batch}, {tokens} tokens", flush=True)
        inputs = options.scratch / f"{name}.npz"
        np.savez(inputs, **model.inputs(batch, tokens))
        found = []
        for engine_name in options.engine or ENGINES:
            measure = tfxc_footprint if engine_name == "tfxc" else rival_footprint
            try:
                engine = ENGINES[engine_name](options)
                figures = measure(engine, model, batch, tokens, inputs, options.scratch)
            except (Unavailable, Missing, Failed, cache.NotCached) as why:
                print(f"  {engine_name} left out: {why}")
                good = good and not options.engine
                continue
            found.append({"engine": engine_name, "version": engine.version, "model": name, "batch": batch, "tokens": tokens} | figures)
        if found:
            print_table(found)
        records += found
    return records, good and bool(records)
