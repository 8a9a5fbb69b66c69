"""The goals that tfxc is held to, measured: a table of goal, figure and whether it is met. About ten minutes.

The goals are ratios of one run on one machine. Shares of the peak are those of roofline.py; faster than every rival means
that the middle half of the rounds lies above 1 for each rival that could run.
"""

import contextlib
import copy
import json
import os
import pathlib
import time

import numpy as np

import cache
from engines import ENGINES, Unavailable
from engines.tfxc_engine import tfx
from footprint import last_json, size, spawn, tfxc_footprint
from measure import measure, pin, processor
from models import MODELS, Missing, reference
from report import print_shape
from roofline import Failed, output_of, peak_share, profiles

HERE = cache.ROOT / "bench"
MB = 1e6

TUNED = ((128, 768, 3072), (128, 3072, 768), (128, 768, 768), (128, 384, 1536), (128, 1536, 384), (128, 384, 384))
RANDOM_SHAPES, RANDOM_SEED = 20, 4
ONE_MATMUL = """\
model one(x: f32[M, {k}]) -> y: f32[M, {n}]
  where M <= 4096
{{
  return linear(x, out = {n}) @ "dense"
}}
"""
ONE_STEP = """\
model one(x: f32[M, 16]) -> y: f32[M, 16]
  where M <= 64
{
  return relu(x)
}
"""


class Goals:
    """Rows as they are found: printed at once, and kept for the table and the JSON."""

    def __init__(self, options):
        self.options = options
        self.build = pathlib.Path(options.tfxc).resolve().parent
        self.processors = os.sched_getaffinity(0)
        self.rows = []
        self.records = []

    def row(self, goal, wanted, got, met):
        self.rows.append({"goal": goal, "wanted": wanted, "measured": got, "met": met})

    def compiled(self, source, name, *flags):
        path = self.options.scratch / f"{name}.so"
        output_of([self.options.tfxc, source, "-o", path, *flags, *self.options.tfxc_flag])
        return path

    # ---- whole models ----

    def share(self, name, batch, tokens, least):
        model = MODELS[name]
        goal, wanted = f"{name} {batch} x {tokens}: share of FMA peak", f">= {least:.0%}"
        try:
            artefact = self.compiled(model.source, name, f"--weights={model.weights()}")
            inputs = self.options.scratch / f"{name}.npz"
            np.savez(inputs, **model.inputs(batch, tokens))
            got = peak_share(profiles(self.build, artefact, ["--input", inputs]), reference(model, batch, tokens).flops)
        except (Failed, Missing) as why:
            return self.row(goal, wanted, str(why), False)
        self.row(goal, wanted, f"{got:.1%}", got >= least)

    def rivals(self, name, batch, tokens, over_ort=None, all_rivals=False):
        model = MODELS[name]
        shape = f"{name} {batch} x {tokens}"
        print(f"\n{shape}", flush=True)
        engines = []
        for engine in ENGINES.values():
            with contextlib.suppress(Unavailable):
                engines.append(engine(self.options))
        found = measure(model, batch, tokens, engines, self.options, lambda text, wrong: print(f"  {text}"))
        if found:
            print_shape(found)
        self.records += found
        ratios = {r["engine"]: r for r in found}
        rivals = {n: r for n, r in ratios.items() if n != "tfxc"}
        if "tfxc" not in ratios or not rivals:
            return self.row(f"{shape}: rivals", "measured", "not measured", False)
        if over_ort:
            ort = rivals.get("onnxruntime")
            got = f"{ort['ratio']:.2f} ({ort['ratio_p25']:.2f} to {ort['ratio_p75']:.2f})" if ort else "not measured"
            self.row(f"{shape}: over ONNX Runtime", f">= {over_ort:.2f}", got, bool(ort) and ort["ratio"] >= over_ort)
        if all_rivals:
            best = min(rivals.values(), key=lambda r: r["ratio"])
            got = f"{best['ratio']:.2f} ({best['ratio_p25']:.2f} to {best['ratio_p75']:.2f}) over {best['engine']}"
            self.row(f"{shape}: faster than every rival", "> 1", got, all(r["ratio_p25"] > 1 for r in rivals.values()))

    def threads(self, name, batch, tokens, n, least):
        """The fastest runs on one thread and on n, in turns: what else runs on a processor only slows."""
        model = MODELS[name]
        goal, wanted = f"{name} {batch} x {tokens}: {n} threads over one", f">= {least:.2f}"
        if len(self.processors) < n:
            return self.row(goal, wanted, f"{len(self.processors)} processor(s)", False)
        os.sched_setaffinity(0, self.processors)
        pin(n)
        try:
            artefact = self.compiled(model.source, name, f"--weights={model.weights()}")
            inputs = model.inputs(batch, tokens)
            calls = [tfx.Model(artefact, threads=t).bind(inputs) for t in (1, n)]
            fastest, end = [float("inf")] * 2, time.perf_counter() + self.options.shape_seconds
            while time.perf_counter() < end:
                for i, call in enumerate(calls * 3):
                    begin = time.perf_counter()
                    call.run()
                    fastest[i % 2] = min(fastest[i % 2], time.perf_counter() - begin)
        except (Failed, Missing) as why:
            return self.row(goal, wanted, str(why), False)
        finally:
            os.sched_setaffinity(0, self.processors)
            pin(1)
        got = fastest[0] / fastest[1]
        self.row(goal, wanted, f"{got:.2f} ({fastest[0] * 1e3:.2f} to {fastest[1] * 1e3:.2f} ms)", got >= least)

    # ---- parts ----

    def call(self):
        goal, wanted = "a call of one small step, checks included", "<= 1 us"
        source = self.options.scratch / "step.tfx"
        source.write_text(ONE_STEP)
        try:
            artefact = self.compiled(source, "step")
            command = [str(self.build / "tfxrun"), str(artefact), "--random", "1", "--bench", "--json"]
            got = last_json(command)["bench"]["median_ns"]
        except Failed as why:
            return self.row(goal, wanted, str(why), False)
        self.row(goal, wanted, f"{got / 1e3:.2f} us", got <= 1000)

    def attention(self):
        goal, wanted, flops = "attention alone, 12 heads of 64, 512 tokens: share of FMA peak", ">= 85%", 4 * 12 * 512 * 512 * 64
        try:
            artefact = self.compiled(HERE / "attention.tfx", "attention")
            got = peak_share(profiles(self.build, artefact, ["--random", "1", "--dim", "B=1", "--dim", "S=512"]), flops)
        except Failed as why:
            return self.row(goal, wanted, str(why), False)
        self.row(goal, wanted, f"{got:.1%}", got >= 0.85)

    def matmul(self, m, k, n):
        source = self.options.scratch / "one.tfx"
        source.write_text(ONE_MATMUL.format(k=k, n=n))
        artefact = self.compiled(source, "one", "--weights=random")
        rounds = profiles(self.build, artefact, ["--random", "1", "--dim", f"M={m}"], "--repeats", max(20, int(5e8 / (m * k * n))))
        return peak_share(rounds, 2 * m * k * n)

    def random_shapes(self):
        goal, wanted = f"{RANDOM_SHAPES} random (M, K, N): points below the benchmark's own", "<= 5"
        random = np.random.default_rng(RANDOM_SEED)
        shapes = []
        while len(shapes) < RANDOM_SHAPES:
            m, k, n = (int(np.exp(random.uniform(np.log(low), np.log(high)))) for low, high in ((16, 512), (64, 4096), (64, 4096)))
            if k * n <= 1 << 22 and (m, k, n) not in TUNED:
                shapes.append((m, k, n))
        try:
            tuned = {s: self.matmul(*s) for s in TUNED}
            shares = {s: self.matmul(*s) for s in shapes}
        except Failed as why:
            return self.row(goal, wanted, str(why), False)
        for title, some in (("the benchmark's shapes", tuned), ("random shapes", shares)):
            print(f"\n{title}: share of FMA peak")
            for (m, k, n), share in some.items():
                print(f"  {m:4d} x {k:4d} x {n:4d}  {share:6.1%}")
        level = float(np.median(list(tuned.values())))
        gaps = sorted(100 * (level - share) for share in shares.values())
        within = sum(g <= 5 for g in gaps)
        got = f"median {np.median(gaps):.1f}, worst {gaps[-1]:.1f}; {within} of {RANDOM_SHAPES} within"
        self.row(goal, wanted, got, within == RANDOM_SHAPES)

    def compiling(self, name, seconds):
        model = MODELS[name]
        path = self.options.scratch / f"{name}.so"
        try:
            engine = ENGINES["tfxc"](self.options)
            runs = [spawn(engine.command(model, path)) for _ in range(3)]
            weights = last_json([str(self.build / "tfxrun"), str(path), "--describe", "--json"])["weight_bytes"]
        except (Unavailable, Missing, Failed, json.JSONDecodeError) as why:
            return self.row(f"{name}: compile", f"<= {seconds} s", str(why), False)
        took = float(np.median([r["build_s"] for r in runs]))
        peak, most = max(r["build_peak_bytes"] for r in runs), 2 * weights + 150 * MB
        code = size(path) - weights
        cpu = min(r["build_cpu_s"] for r in runs)
        self.row(f"{name}: compile", f"<= {seconds} s", f"{took:.2f} s ({cpu:.2f} s of processor time)", took <= seconds)
        self.row(f"{name}: peak memory while compiling", f"<= {most / MB:.0f} MB", f"{peak / MB:.0f} MB", peak <= most)
        self.row(f"{name}: artefact without weights", "<= 250 KB", f"{code / 1e3:.0f} KB", code <= 250e3)

    def loading(self, name, tokens, most_steady=None):
        model = MODELS[name]
        shape = f"{name} 1 x {tokens}"
        inputs = self.options.scratch / f"{name}.npz"
        np.savez(inputs, **model.inputs(1, tokens))
        try:
            got = tfxc_footprint(ENGINES["tfxc"](self.options), model, 1, tokens, inputs, self.options.scratch)
        except (Unavailable, Missing, Failed) as why:
            return self.row(f"{shape}: loading", "measured", str(why), False)
        if most_steady:
            ratio = got["first_over_steady"]
            self.row(f"{shape}: load and first run over a later one", f"<= {most_steady}", f"{ratio:.2f}", ratio <= most_steady)
        beside = got["beside_bytes"]
        self.row(f"{shape}: memory beside weights and workspace", "<= 3 MB", f"{beside / MB:.1f} MB", beside <= 3 * MB)


def goals(options):
    """(records, whether everything could be measured; a goal that is not met is no failure of the benchmark)."""
    options = copy.copy(options)
    options.shape_seconds = min(options.shape_seconds, 25)
    g = Goals(options)
    print(f"{processor()}, on processor {pin(1)}", flush=True)
    g.share("bert_base", 1, 128, 0.92)
    g.rivals("bert_base", 1, 128, over_ort=1.25, all_rivals=True)
    g.share("minilm", 1, 128, 0.90)
    g.share("minilm", 1, 16, 0.90)
    g.rivals("minilm", 1, 128, over_ort=1.4)
    g.rivals("minilm", 1, 16, over_ort=1.6)
    g.attention()
    g.rivals("vit_base", 1, 197, all_rivals=True)
    g.rivals("vit_base", 8, 197, all_rivals=True)
    g.threads("bert_base", 1, 128, 2, 1.9)
    g.threads("minilm", 1, 128, 2, 1.9)
    g.random_shapes()
    g.call()
    g.compiling("minilm", 2)
    g.compiling("bert_base", 6)
    g.loading("minilm", 128, most_steady=1.5)
    g.loading("minilm", 16)
    wide = max(len(r["goal"]) for r in g.rows)
    print(f"\n{'goal':{wide}s}  {'wanted':>10s}  {'':8s} measured")
    for r in g.rows:
        print(f"{r['goal']:{wide}s}  {r['wanted']:>10s}  {'met' if r['met'] else 'not met':8s} {r['measured']}")
    return g.rows + g.records, bool(g.records)
