"""How one shape of a model is measured: every engine in its best form, in turn, round after round."""

import contextlib
import dataclasses
import math
import os
import pathlib
import platform
import time

import numpy as np

import cache
from engines import Unavailable
from models import Missing, reference

TRIAL_RUNS = 9  # of each form of an engine, before the fastest is chosen; fewer when they take more than...
TRIAL_SECONDS, QUICK_TRIAL_SECONDS = 1.0, 0.3
LONG_RUN = 0.5  # seconds: such a run is not repeated for the sake of a warm cache
LEAST_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Entrant:
    """An engine on one shape, in the form that was fastest."""

    engine: object
    form: str
    call: object
    absolute: float  # largest |output - reference|
    relative: float  # the same as a share of the largest |reference| of that output


def distance(outputs, expected):
    """(largest |difference| over all outputs, largest one relative to its output's largest magnitude); infinite when the
    shapes differ or a value is not a number."""
    if len(outputs) != len(expected):
        return math.inf, math.inf
    absolute = relative = 0.0
    for got, want in zip(outputs, expected):
        if got.shape != want.shape or not np.isfinite(got).all():
            return math.inf, math.inf
        gap = float(np.max(np.abs(got.astype(np.float64) - want), initial=0.0))
        scale = float(np.max(np.abs(want), initial=0.0))
        absolute, relative = max(absolute, gap), max(relative, gap / scale if scale else gap and math.inf)
    return absolute, relative


def enter(engine, model, batch, tokens, expected, quick, say):
    """The Entrant of an engine, or None: what cannot run or is wrong is reported through say(text, is_wrong)."""
    inputs = model.inputs(batch, tokens)
    forms = []
    for form in engine.forms(model):
        name = f"{engine.name} ({form})" if form else engine.name
        try:
            call = engine.load(model, form, engine.build(model, form, batch, tokens), inputs)
        except (Unavailable, Missing, cache.NotCached) as why:
            say(f"{name} left out: {why}", False)
            continue
        except Exception as why:  # whatever goes wrong inside an engine
            say(f"{name} left out: {type(why).__name__}: {str(why).strip().splitlines()[0] if str(why) else ''}", False)
            continue
        call.run()
        absolute, relative = distance(call.outputs(), expected)
        if not relative <= model.tolerance:
            say(f"{name}: off by {relative:.3g} of the largest output, allowed is {model.tolerance:g}: not timed", True)
            continue
        forms.append(Entrant(engine, form, call, absolute, relative))
    if len(forms) < 2:
        return forms[0] if forms else None
    best = [math.inf] * len(forms)
    start = time.perf_counter()
    for _ in range(TRIAL_RUNS):
        for i, entrant in enumerate(forms):
            best[i] = min(best[i], *timed(entrant.call, 1, time.perf_counter))
        if time.perf_counter() - start > (QUICK_TRIAL_SECONDS if quick else TRIAL_SECONDS) * len(forms):
            break
    return forms[int(np.argmin(best))]


def timed(call, runs, clock):
    times = []
    for _ in range(runs):
        start = clock()
        call.run()
        times.append(clock() - start)
    return times


def in_turns(entrants, options):
    """Times by rounds: for each entrant a list of lists of seconds. A round begins with another entrant each time; an
    entrant's runs in a round follow one that is not counted, which brings its code and data back into the caches."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    once = [min(timed(e.call, 2, clock)) for e in entrants]
    runs = [max(1, int(options.seconds / max(t, 1e-7))) for t in once]
    uncounted = [0 if t > LONG_RUN else 1 for t in once]
    round_time = sum(t * (r + u) for t, r, u in zip(once, runs, uncounted))
    rounds = max(LEAST_ROUNDS, min(options.rounds, int(options.shape_seconds / round_time)))
    times = [[] for _ in entrants]
    for r in range(rounds):
        for k in range(len(entrants)):
            i = (k + r) % len(entrants)
            timed(entrants[i].call, uncounted[i], clock)
            times[i].append(timed(entrants[i].call, runs[i], clock))
    return times


def measure(model, batch, tokens, engines, options, say):
    """The records of one shape."""
    try:
        expected = reference(model, batch, tokens, options.only_cached)
    except (Missing, cache.NotCached) as why:
        say(f"left out: {why}", False)
        return []
    entrants = [enter(engine, model, batch, tokens, expected.outputs, options.quick, say) for engine in engines]
    entrants = [e for e in entrants if e]
    if not entrants or options.prepare:
        return []
    times = in_turns(entrants, options)
    baseline = next((i for i, e in enumerate(entrants) if e.engine.name == "tfxc"), 0)
    return [record(e, t, times[baseline], entrants[baseline], model, batch, tokens, expected.flops, options) for e, t in zip(entrants, times)]


def record(entrant, times, base_times, base, model, batch, tokens, flops, options):
    ms = 1e3 * np.concatenate(times)
    ratio = np.array([np.median(t) for t in times]) / np.array([np.median(t) for t in base_times])
    low, middle, high = np.percentile(ratio, [25, 50, 75])
    return {
        "engine": entrant.engine.name,
        "version": entrant.engine.version,
        "form": entrant.form,
        "model": model.name,
        "dtype": model.dtype,
        "batch": batch,
        "tokens": tokens,
        "threads": options.threads,
        "median_ms": float(np.median(ms)),
        "min_ms": float(ms.min()),
        "p90_ms": float(np.percentile(ms, 90)),
        "max_abs_diff": entrant.absolute,
        "max_rel_diff": entrant.relative,
        "gflops": flops / 1e9 / float(np.median(ms) * 1e-3),
        "baseline": base.engine.name,
        "ratio": float(middle),
        "ratio_p25": float(low),
        "ratio_p75": float(high),
        "ratio_min": float(ms.min() / (1e3 * min(min(t) for t in base_times))),
        "clock": "processor" if options.cpu_time else "wall",
        "rounds": len(times),
        "runs": len(ms),
        "processor": processor(),
    }


def processor():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def pin(threads):
    """Keep this process and its children on so many of the processors it may use: the last ones, which the system likes
    least for its own work. Returns them."""
    allowed = sorted(os.sched_getaffinity(0))
    chosen = allowed[-threads:]
    os.sched_setaffinity(0, chosen)
    return chosen
