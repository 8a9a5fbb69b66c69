"""What bounds each kernel of a compiled model: work and bytes from `tfxc --emit=costs`, times from `tfxrun --profile`, and the
machine's peak of fused multiply-adds from `kbench --peak`, all in one run and by turns.

A kernel's FLOPs are all its operations on floats. The share of the peak of the whole model counts its contractions alone, as
PyTorch's FLOP counter finds them in the same model: work that every engine has to do, whatever it makes of the rest. A
time is that of the fastest run of a round, the median over the rounds: what the code takes when nothing disturbs it, as the peak is.
"""

import json
import pathlib
import re
import subprocess

import numpy as np

from measure import pin, processor
from models import MODELS, Missing, reference

ROUNDS = 5
RUNS = 11  # in a round: as many are timed whole as are profiled, so that their fastest can be compared
CORE_BOUNDS = ("fma", "L1", "L2")  # ceilings that move with the core's clock


class Failed(Exception):
    """A tool that did not do what it should, and what it said."""


def output_of(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise Failed(f"{pathlib.Path(str(command[0])).name} ended with {done.returncode} and said: {said[0]}")
    return done.stdout


def peak_gflops(build):
    """The peak of one core now."""
    return float(re.search(r"peak ([0-9.]+) GFLOP/s", output_of([build / "kbench", "--peak"]))[1])


def in_layers(path):
    """The same place in every layer: numbers of a path become stars."""
    return re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", path)


def profiles(build, artefact, inputs, *flags):
    """Rounds of (peak GFLOP/s before and after, tfxrun's JSON)."""
    command = [build / "tfxrun", artefact, *inputs, "--bench", "--json", *flags]
    found, before = [], peak_gflops(build)
    for _ in range(ROUNDS):
        said = json.loads(output_of(command))
        after = peak_gflops(build)
        found.append(((before + after) / 2, said))
        before = after
    return found


def peak_share(rounds, flops):
    """Of a model that takes so many FLOPs: the share of the peak that its fastest run of a round reaches, median over rounds."""
    return float(np.median([flops / said["bench"]["min_ns"] / peak for peak, said in rounds]))


def joined(costs, rounds):
    """Rows of (kernel, place) with the costs of all their launches and the median of their times."""
    peak = float(np.median([p for p, _ in rounds]))
    scale = {b: costs["machine"]["f32_gflops"] / peak for b in CORE_BOUNDS}
    rows = {}
    for launch in costs["launches"]:
        row = rows.setdefault(
            (launch["kernel"], in_layers(launch["path"])),
            {"launches": 0, "flops": 0, "bytes": 0, "ceiling_us": 0.0, "bounds": {}, "us": [0.0] * len(rounds)},
        )
        ceiling = launch["ceiling_us"] * scale.get(launch["bound"], 1)
        row["launches"] += 1
        row["flops"] += launch["flops"]
        row["bytes"] += launch["bytes_read"] + launch["bytes_written"]
        row["ceiling_us"] += ceiling
        row["bounds"][launch["bound"]] = row["bounds"].get(launch["bound"], 0) + ceiling
    for i, (_, said) in enumerate(rounds):
        for launch in said["profile"]["launches"]:
            key = (launch["kernel"], in_layers(launch["path"]))
            if key not in rows:
                raise Failed(f"the profile has a kernel that the costs lack: {key[0]} at {key[1] or 'the top'}")
            rows[key]["us"][i] += launch["min_ns"] * 1e-3
    return [
        {"kernel": kernel, "path": path} | row | {"us": float(np.median(row["us"])), "bound": max(row["bounds"], key=row["bounds"].get)}
        for (kernel, path), row in rows.items()
    ]


def gap(profile):
    """Microseconds of a run that no kernel takes."""
    return (profile["run_ns"] - sum(launch["ns"] for launch in profile["launches"])) * 1e-3


def roofline_of(model, batch, tokens, options):
    """The record of one shape: rows of kernels and the whole model."""
    tfxc = pathlib.Path(options.tfxc).resolve()
    build = tfxc.parent
    flags = [model.source, f"--weights={model.weights()}", *options.tfxc_flag]
    artefact, inputs = options.scratch / f"{model.name}.so", options.scratch / f"{model.name}.npz"
    dims = [f"--dim={name}={n}" for name, n in model.dims(batch, tokens).items()]
    costs = json.loads(output_of([tfxc, *flags, "--emit=costs", *dims, "-o", "-"]))
    output_of([tfxc, *flags, "-o", artefact])
    np.savez(inputs, **model.inputs(batch, tokens))
    rounds = profiles(build, artefact, ["--input", inputs], "--profile", "--repeats", RUNS)
    rows = joined(costs, rounds)
    work = reference(model, batch, tokens).flops
    return {
        "model": model.name,
        "batch": batch,
        "tokens": tokens,
        "processor": processor(),
        "machine": costs["machine"],
        "peak_gflops": float(np.median([p for p, _ in rounds])),
        "contraction_flops": work,
        "us": float(np.median([said["bench"]["min_ns"] * 1e-3 for _, said in rounds])),
        "median_us": float(np.median([said["bench"]["median_ns"] * 1e-3 for _, said in rounds])),
        "peak_share": peak_share(rounds, work),
        "gap_us": float(np.median([gap(said["profile"]) for _, said in rounds])),
        "ceiling_us": sum(row["ceiling_us"] for row in rows),
        "kernels": rows,
    }


def print_roofline(r):
    print(f"\n{r['model']}, batch {r['batch']}, {r['tokens']} tokens; peak {r['peak_gflops']:.1f} GFLOP/s; machine: {r['machine']['source']}")
    print(f"  {'n':>3s} {'MFLOP':>9s} {'MB':>8s} {'us':>9s} {'share':>6s} {'GFLOP/s':>8s} {'of peak':>8s} {'of ceiling':>10s}  {'bound':6s} kernel")
    for k in sorted(r["kernels"], key=lambda k: -k["us"]):
        us = k["us"] or float("nan")
        rate = k["flops"] / us * 1e-3
        print(
            f"  {k['launches']:3d} {k['flops'] / 1e6:9.2f} {k['bytes'] / 1e6:8.2f} {us:9.1f} {us / r['us']:6.1%} {rate:8.1f}"
            f" {rate / r['peak_gflops']:8.1%} {k['ceiling_us'] / us:10.1%}  {k['bound']:6s} {k['kernel']}  {k['path']}"
        )
    print(f"  {'':22s} {r['gap_us']:9.1f} {r['gap_us'] / r['us']:6.1%} {'':37s} between kernels")
    slack = r["us"] - r["gap_us"] - sum(k["us"] for k in r["kernels"])
    print(f"  {'':22s} {slack:9.1f} {slack / r['us']:6.1%} {'':37s} what the fastest run took beyond every kernel's fastest launch")
    print(
        f"  whole: {r['us']:.0f} us, {r['contraction_flops'] / 1e6:.1f} MFLOP in contractions: {r['peak_share']:.1%} of the peak;"
        f" the median run takes {r['median_us'] / r['us']:.2f} times as long; the ceilings of its kernels add up to {r['ceiling_us']:.0f} us"
    )


def roofline(options):
    """(records, whether all went well). Without choices: BERT-base, batch 1, 128 tokens."""
    pin(1)
    records, good = [], True
    for name in options.model or ["bert_base"]:
        model = MODELS[name]
        for batch, tokens in model.shapes(options.batch or [1], options.tokens or ([128] if model.max_tokens else None)):
            try:
                records.append(roofline_of(model, batch, tokens, options))
            except (Failed, Missing) as why:
                print(f"{name}, batch {batch}, {tokens} tokens left out: {why}")
                good = False
                continue
            print_roofline(records[-1])
    return records, good
