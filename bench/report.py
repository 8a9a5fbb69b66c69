"""What the records of a run say: a table for each shape, tfxc against the best rival, a plot."""

import math
import pathlib


def print_shape(records):
    baseline = records[0]["baseline"]
    print(f"  {'engine':14s} {'median ms':>10s} {'min':>9s} {'p90':>9s} {'GFLOP/s':>8s}   {'x ' + baseline:>7s}  {'middle half':14s} {'of min':>6s}  {'off by':>7s}")
    for r in sorted(records, key=lambda r: r["ratio"]):
        form = f"  {r['form']}" if r["form"] else ""
        print(
            f"  {r['engine']:14s} {r['median_ms']:10.3f} {r['min_ms']:9.3f} {r['p90_ms']:9.3f} {r['gflops']:8.1f}   {r['ratio']:7.2f}"
            f"  {r['ratio_p25']:5.2f} to {r['ratio_p75']:<5.2f} {r['ratio_min']:6.2f}  {r['max_rel_diff']:7.1e}{form}"
        )


def by_shape(records):
    """{(model, batch, tokens): {engine: record}} in the order of the records."""
    shapes = {}
    for r in records:
        shapes.setdefault((r["model"], r["batch"], r["tokens"]), {})[r["engine"]] = r
    return shapes


def print_summary(records):
    """How many times as long as tfxc the others take: above 1, tfxc is faster."""
    shapes = {k: v for k, v in by_shape(records).items() if "tfxc" in v and len(v) > 1}
    if not shapes:
        return
    rivals = list(dict.fromkeys(r["engine"] for r in records if r["engine"] != "tfxc"))
    print(f"\nTime over tfxc's (median of rounds; above 1 tfxc is faster)\n  {'model, batch x tokens':24s}" + "".join(f"{n:>15s}" for n in rivals) + "   best rival")
    for (model, batch, tokens), found in shapes.items():
        best = min((r for n, r in found.items() if n != "tfxc"), key=lambda r: r["ratio"])
        cells = "".join(f"{found[n]['ratio']:15.2f}" if n in found else f"{'-':>15s}" for n in rivals)
        verdict = "faster" if best["ratio_p25"] > 1 else "slower" if best["ratio_p75"] < 1 else "even"
        print(f"  {f'{model}, {batch} x {tokens}':24s}{cells}   {best['engine']} {best['ratio']:.2f}: tfxc is {verdict}")
    means = "".join(f"{geometric([f[n]['ratio'] for f in shapes.values() if n in f]):15.2f}" for n in rivals)
    best = geometric([min(r["ratio"] for n, r in f.items() if n != "tfxc") for f in shapes.values()])
    print(f"  {'geometric mean':24s}{means}   {best:.2f}")


def geometric(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


# One colour for an engine, whichever others are there.
_COLOURS = {"tfxc": "#222222", "onnxruntime": "#3b75af", "openvino": "#7a5195", "pytorch": "#ee7733", "torch.compile": "#f5b041", "aotinductor": "#c0392b"}  # fmt: skip


def plot(records, path):
    """Bars of time over the baseline's, one group a shape; whiskers hold the middle half of the rounds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shapes = by_shape(records)
    engines = [e for e in _COLOURS if any(e in f for f in shapes.values())]
    engines += sorted({e for f in shapes.values() for e in f} - set(engines))
    baseline = records[0]["baseline"]
    height = 1.5 + 0.17 * sum(len(f) + 1.5 for f in shapes.values())
    figure, axes = pyplot.subplots(figsize=(9, height), layout="constrained")
    y, ticks, labels = 0.0, [], []
    for (model, batch, tokens), found in shapes.items():
        top = y
        for engine in engines:
            if engine not in found:
                continue
            r = found[engine]
            whiskers = [[max(0, r["ratio"] - r["ratio_p25"])], [max(0, r["ratio_p75"] - r["ratio"])]]
            axes.barh(y, r["ratio"], height=0.85, color=_COLOURS.get(engine, "#888888"), xerr=whiskers, ecolor="#00000080")
            axes.text(r["ratio_p75"] + 0.02, y, f"{r['ratio']:.2f}  {r['median_ms']:.3g} ms", va="center", fontsize=7)
            y += 1
        ticks.append((top + y - 1) / 2)
        labels.append(f"{model}\n{batch} x {tokens}")
        y += 1.5
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="#222222", linewidth=0.8)
    axes.set_xlim(0, 1.18 * max(r["ratio_p75"] for r in records))
    where = f"{records[0]['processor']}, {records[0]['threads']} thread(s), f32"
    axes.set_xlabel(f"time over {baseline}'s: longer is slower (bar: median of rounds; whisker: middle half)\n{where}", fontsize=8)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=_COLOURS.get(e, "#888888")) for e in engines]
    versions = {r["engine"]: r["version"] for r in records}
    figure.legend(handles, [f"{e} {versions[e]}" for e in engines], fontsize=7, ncols=3, loc="outside upper center")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(pathlib.Path(path), dpi=130)
