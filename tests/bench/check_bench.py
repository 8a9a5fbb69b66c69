"""Tests of bench/: usage: check_bench.py BUILD_DIR. Called by run_bench.sh, with the Python of .venv."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import traceback

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(sys.argv[1])
BENCH = ROOT / "bench"
sys.path.insert(0, str(BENCH))

import cache  # noqa: E402
import engines  # noqa: E402
import measure  # noqa: E402
import roofline  # noqa: E402
from engines.torch_engines import Eager  # noqa: E402

FIELDS = {
    "engine": str, "version": str, "model": str, "dtype": str, "batch": int, "tokens": int, "threads": int,
    "median_ms": float, "min_ms": float, "p90_ms": float, "max_abs_diff": float, "ratio": float, "form": str,
}  # fmt: skip


class OffBy:
    """PyTorch with a mistake of the given size in one output."""

    def __init__(self, name, damage):
        def load(self, *arguments):
            call = Eager.load(self, *arguments)
            outputs = call.outputs
            call.outputs = lambda: damage(outputs())
            return call

        self.engine = type(name, (Eager,), {"name": name, "load": load})

    def __enter__(self):
        engines.ENGINES[self.engine.name] = self.engine

    def __exit__(self, *exception):
        del engines.ENGINES[self.engine.name]


def load_run():
    loader = importlib.machinery.SourceFileLoader("run", str(BENCH / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
    loader.exec_module(module)
    return module


run = load_run()


def bench(*arguments):
    """(status, what was printed) of bench/run with these arguments."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = run.main(["--tfxc", str(BUILD / "tfxc"), *arguments])
        except SystemExit as end:
            status = end.code
    return status, said.getvalue()


SHORT = ("--model", "digits", "--batch", "1", "--rounds", "3", "--seconds", "0.002")


def test_records_and_plot(scratch):
    json_file, plot = scratch / "r.json", scratch / "r.png"
    status, said = bench(*SHORT, "--engine", "tfxc", "pytorch", "--json", str(json_file), "--plot", str(plot))
    assert status == 0, said
    records = json.loads(json_file.read_text())
    assert [r["engine"] for r in records] == ["tfxc", "pytorch"], records
    for r in records:
        for name, kind in FIELDS.items():
            assert isinstance(r[name], kind), (name, r)
        assert 0 < r["min_ms"] <= r["median_ms"] <= r["p90_ms"], r
        assert 0 < r["max_abs_diff"] < 1e-3 and r["ratio_p25"] <= r["ratio"] <= r["ratio_p75"], r
    assert records[0]["ratio"] == 1, records[0]
    assert plot.read_bytes().startswith(b"\x89PNG"), "no picture"
    status, said = bench("--from", str(json_file), "--plot", str(scratch / "again.png"))
    assert status == 0 and "best rival" in said and "pytorch" in said, said
    assert (scratch / "again.png").exists()


def test_wrong_outputs_are_found_out(scratch):
    def nudged(outputs):
        outputs[0] = outputs[0] + 1e-3 * np.abs(outputs[0]).max()
        return outputs

    def not_a_number(outputs):
        outputs[0] = outputs[0].copy()
        outputs[0].flat[3] = np.nan
        return outputs

    for damage in (nudged, not_a_number):
        with OffBy("broken", damage):
            status, said = bench(*SHORT, "--engine", "tfxc", "broken")
        assert status == 1 and "broken: off by" in said and "not timed" in said, said
        assert "tfxc  " in said.split("not timed")[1], said  # the others are measured all the same


OTHER_WEIGHTS = """\
#!/bin/sh
for a; do
    case $a in --weights=*) a=--weights=random ;; esac
    shift
    set -- "$@" "$a"
done
exec "{tfxc}" "$@"
"""


def test_a_wrong_model_of_tfxc_is_found_out(scratch):
    wrong = scratch / "tfxc"
    wrong.write_text(OTHER_WEIGHTS.format(tfxc=BUILD / "tfxc"))
    wrong.chmod(0o755)
    status, said = bench(*SHORT, "--engine", "tfxc", "--tfxc", str(wrong))
    assert status == 1 and "tfxc: off by" in said, said


def test_bad_usage(scratch):
    for arguments, text in (
        (("--engine", "gcc"), "--engine gcc: expected tfxc, onnxruntime"),
        (("--model", "gpt"), "--model gpt: expected digits"),
        (("--model", "digits", "--batch", "65"), "--batch 65: digits takes 1 to 64"),
        (("--model", "digits", "--tokens", "4"), "--tokens 4: digits takes"),
        (("--rounds", "-1"), "must be positive"),
    ):
        status, said = bench(*arguments)
        assert status == 2 and text in said, (arguments, status, said)
    status, said = bench(*SHORT, "--engine", "pytorch", "tfxc", "--tfxc", "/nowhere/tfxc")
    assert "tfxc left out: there is no /nowhere/tfxc" in said, said  # the last --tfxc counts


def test_cache(scratch):
    folder, cache.FOLDER = cache.FOLDER, scratch / "cache"
    try:
        made = []

        def make(path):
            made.append(path.name)
            path.write_text("x")

        first = cache.made("kind/a", ["1"], make, ".bin")
        assert cache.made("kind/a", ["1"], make, ".bin") == first and len(made) == 1
        other = cache.made("kind/a-b", ["1"], make, ".bin")
        second = cache.made("kind/a", ["2"], make, ".bin")
        assert second.exists() and other.exists() and not first.exists(), list(first.parent.iterdir())
        try:
            cache.made("kind/a", ["3"], make, ".bin", only_cached=True)
        except cache.NotCached:
            pass
        else:
            raise AssertionError("made although only_cached")
    finally:
        cache.FOLDER = folder


def test_distance(scratch):
    want = [np.array([[1.0, -4.0]])]
    assert measure.distance([np.array([[1.0, -3.5]], np.float32)], want) == (0.5, 0.125)
    assert measure.distance([np.zeros((1, 2), np.float32)], [np.zeros((1, 2))]) == (0.0, 0.0)
    for bad in ([], [np.zeros((2, 1))], [np.array([[1.0, np.inf]])]):
        assert measure.distance(bad, want)[1] == float("inf"), bad


def test_roofline_joins_costs_and_times(scratch):
    def launch(kernel, path, **more):
        return {"kernel": kernel, "path": path, "flops": 100, "bytes_read": 8, "bytes_written": 4, "ceiling_us": 2.0} | more

    costs = {
        "machine": {"f32_gflops": 100},
        "launches": [
            launch("mm", "layer.0.dense", bound="fma"),
            launch("mm", "layer.1.dense", bound="fma"),
            launch("norm", "layer.1.norm", bound="dram"),
        ],
    }

    def said(*times):
        return {"profile": {"launches": [{"kernel": l["kernel"], "path": l["path"], "min_ns": t} for l, t in zip(costs["launches"], times)]}}

    rows = roofline.joined(costs, [(50.0, said(1000, 2000, 500)), (50.0, said(1000, 4000, 700)), (50.0, said(900, 900, 600))])
    mm, norm = rows
    assert (mm["kernel"], mm["path"], mm["launches"], mm["flops"], mm["bytes"]) == ("mm", "layer.*.dense", 2, 200, 24), mm
    assert mm["us"] == 3.0 and mm["ceiling_us"] == 8.0 and mm["bound"] == "fma", mm  # the peak is half of what was assumed
    assert norm["us"] == 0.6 and norm["ceiling_us"] == 2.0, norm
    try:
        roofline.joined({"machine": costs["machine"], "launches": costs["launches"][:2]}, [(50.0, said(1, 2, 3))])
    except roofline.Failed as why:
        assert "norm" in str(why), why
    else:
        raise AssertionError("a kernel without costs was not noticed")


def test_roofline_of_a_model(scratch):
    rounds, roofline.ROUNDS = roofline.ROUNDS, 1
    try:
        json_file = scratch / "r.json"
        status, said = bench("--roofline", "--model", "digits", "--json", str(json_file))
    finally:
        roofline.ROUNDS = rounds
    assert status == 0 and "of the peak" in said, said
    (r,) = json.loads(json_file.read_text())
    assert 0 < r["peak_share"] < 1.2 and r["contraction_flops"] > 1e6, r
    assert sum(k["launches"] for k in r["kernels"]) > 10 and all(k["us"] > 0 for k in r["kernels"]), r["kernels"]
    work = sum(k["flops"] for k in r["kernels"])
    assert 0.9 < work / r["contraction_flops"] < 1.5, (work, r["contraction_flops"])  # two counts of the same model


def main():
    passed = failed = 0
    tests = {name: f for name, f in globals().items() if name.startswith("test_")}
    for name, test in tests.items():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                test(pathlib.Path(scratch))
                passed += 1
            except Exception:
                failed += 1
                print(f"FAILED: {name}\n{traceback.format_exc()}")
    print(f"bench: {passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
