"""Coefficients of the polynomials in codegen/expand_math.c and lower_attention_softmax.c.

First Remez exchange with 300-bit numbers: P of degree n such that max |w(x) (f(x) - g(x) P(t(x)))| over [a, b] is least. Then the
coefficients, rounded to f32, are moved by units in the last place as long as that lessens the greatest error of the whole function
as it is computed: in f32, with fused multiply-adds. Prints C initialisers, lowest degree first, with the errors reached in ulp.

    python scripts/minimax.py NAME...       exp exp_nonpositive exp2 erf tanh log sin cos, constants; needs mpmath and numpy
"""
import math
import random
import sys
import time

import numpy as np
from mpmath import mp, mpf, matrix, lu_solve, pi, cos, sin, exp, log, erf, tanh, sqrt

mp.prec = 300
F = np.float32


# ---- Remez ----

def solve(points, f, g, t, w, n):
    a, b = matrix(n + 2, n + 2), matrix(n + 2, 1)
    for i, x in enumerate(points):
        base, u = w(x) * g(x), t(x)
        for p in range(n + 1):
            a[i, p] = base * u**p
        a[i, n + 1] = (-1) ** i
        b[i] = w(x) * f(x)
    s = lu_solve(a, b)
    return [s[p] for p in range(n + 1)], abs(s[n + 1])


def remez(f, g, t, w, lo, hi, n, rounds=40, grid=1501):
    lo, hi = mpf(lo), mpf(hi)
    chebyshev = lambda m: [(lo + hi) / 2 + (hi - lo) / 2 * cos(pi * (m - i) / m) for i in range(m + 1)]
    xs, points = chebyshev(grid), chebyshev(n + 1)
    table = [(w(x), f(x), g(x), t(x)) for x in xs]
    for _ in range(rounds):
        c, level = solve(points, f, g, t, w, n)
        err = [ww * (ff - gg * mp.polyval(c[::-1], tt)) for ww, ff, gg, tt in table]
        new, i = [], 0
        while i <= grid:  # one extremum for each run of equal signs
            j = best = i
            while j <= grid and (err[j] >= 0) == (err[i] >= 0):
                best = j if abs(err[j]) > abs(err[best]) else best
                j += 1
            new.append(best)
            i = j
        while len(new) > n + 2:
            new.pop(0 if abs(err[new[0]]) < abs(err[new[-1]]) else -1)
        worst = max(abs(e) for e in err)
        if len(new) < n + 2 or worst < level * mpf("1.0001"):
            break
        points = [xs[i] for i in new]
    return c, float(worst)


# ---- f32 as hardware computes it ----

def fma(a, b, c):
    return (a.astype(np.float64) * np.float64(b) + np.float64(c)).astype(F)  # rounds twice once in 2^29 times


def horner(c, x):
    p = np.full_like(x, c[-1])
    for k in c[-2::-1]:
        p = fma(p, x, k)
    return p


def polish(c, evaluate, x, truth):
    """Moves f32 coefficients to lessen the greatest error in ulp of `truth` (f64)."""
    c = [F(float(k)) for k in c]
    exponent = np.maximum(np.floor(np.log2(np.abs(truth))), -126)
    ulp = np.exp2(exponent - 23)
    error = lambda c: float(np.max(np.abs(evaluate(c, x).astype(np.float64) - truth) / ulp))
    best, moved = error(c), True
    start = best
    while moved:
        moved = False
        for i in reversed(range(len(c))):
            for step in (1, -1, 2, -2, 4, -4, 16, -16):
                d = list(c)
                for _ in range(abs(step)):
                    d[i] = np.nextafter(d[i], F(np.inf) if step > 0 else F(-np.inf))
                e = error(d)
                if e < best:
                    c, best, moved = d, e, True
    return c, start, best


def show(name, ideal, c, start, best):
    print(f"/* {name}: {ideal:.2g} relative by Remez; {best:.2f} ulp as computed ({start:.2f} before polishing) */")
    print("{" + ", ".join(hexf(k) for k in c) + "}", flush=True)


def hexf(k):
    m, e = float(k).hex().split("p")
    return m.rstrip("0").rstrip(".") + "p" + e


one = lambda x: mpf(1)
ident = lambda x: x
mpvec = lambda f, x: np.array([float(f(mpf(float(v)))) for v in x])


# ---- the functions: each evaluates exactly as expand_math builds it ----

def make_exp():
    """e^r for |r| <= ln 2 as 1 + r + r^2 Q(r); with the r that come of x, most of them at the ends of the range"""
    c, ideal = remez(lambda r: exp(r) - 1 - r, lambda r: r * r, ident, lambda r: 1 / exp(r), "-0.6932", "0.6932", 5)
    ends = [(2 * k + 1) * math.log(2) + np.arange(-40, 41) * 2e-6 * max(1, abs(k)) for k in range(-60, 60)]
    x = np.concatenate([np.linspace(-87, 88, 40001)] + ends).astype(F)
    h = np.rint(x * (0.5 / math.log(2))).astype(F)
    r = fma(h, F(float.fromhex("0x1.05c61p-28")), fma(h, F(float.fromhex("-0x1.62e43p+0")), x))
    truth = np.exp(x.astype(np.float64)) * np.exp2(-2 * h.astype(np.float64))
    show("exp", ideal, *polish(c, lambda c, r: horner([F(1), F(1)] + list(c), r), r, truth))


def make_exp_nonpositive():
    """e^r for |r| <= ln 2 / 2 as 1 + r + r^2 Q(r)"""
    c, ideal = remez(lambda r: exp(r) - 1 - r, lambda r: r * r, ident, lambda r: 1 / exp(r), "-0.34662", "0.34662", 4)
    x = np.linspace(-0.34662, 0.34662, 20001).astype(F)
    run = lambda c, r: horner([F(1), F(1)] + list(c), r)
    show("exp_nonpositive", ideal, *polish(c, run, x, np.exp(x.astype(np.float64))))


def make_exp2():
    """2^r for |r| <= 1 / 2: the weights of attention"""
    c, ideal = remez(lambda r: mpf(2)**r, one, ident, lambda r: mpf(2)**-r, "-0.5", "0.5", 5)
    x = np.linspace(-0.5, 0.5, 20000).astype(F)
    run = lambda c, r: horner(list(c), r)
    show("exp2", ideal, *polish(c, run, x, np.exp2(x.astype(np.float64))))


def make_erf(degree=15, top="3.9", seconds=600, seed=1):
    """erf(x) = s P(s^2 - 1), s = x sqrt(2) / top, up to a limit of s from which it is 1

    Among coefficients for which nothing comes out above 1, and 1 itself at some s of x > 3.82 (the limit), random moves look for those
    of least error, of erf in ulp and of GELU relative to 1 + |x|."""
    scale = F(float(sqrt(mpf(2)) / mpf(top)))
    over = lambda s: erf(s / mpf(float(scale))) / s
    c, ideal = remez(over, one, lambda s: s * s - 1, lambda s: 1 / over(s), mpf("1e-6"), sqrt(mpf(2)), degree)
    x = np.concatenate([np.linspace(1e-4, 3.85, 60001), np.exp(np.linspace(-18, -1, 60000)), np.linspace(3.2, 3.85, 8000)]).astype(F)
    g = np.concatenate([np.linspace(-8, 8, 100001), np.linspace(-6, -3, 30001)]).astype(F)
    phi = np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))
    truth, gelu = np.vectorize(math.erf)(x.astype(np.float64)), g * phi(g.astype(np.float64))
    ulp = np.exp2(np.maximum(np.floor(np.log2(truth)), -126) - 23)
    s, half = (x * scale).astype(F), (g * F(0.5)).astype(F)
    sg = (((g * F(float(sqrt(mpf("0.5"))))).astype(F)) * scale).astype(F)
    end = lambda v: int((F(v) * scale).view(np.int32))
    top_floats = np.arange(end(3.3), end(3.92) + 1, dtype=np.int32).view(F)
    run = lambda c, s: (s * horner(list(c), fma_same(s))).astype(F)

    def limit(c, among):
        y = run(c, among)
        above = np.nonzero(y > 1)[0]
        ones = np.nonzero(y[: above[0] if len(above) else len(y)] == 1)[0]
        return among[ones[-1]] if len(ones) else F(0)

    def error(c, limit):
        e = float((np.abs(run(c, s).astype(np.float64) - truth) / ulp).max())
        y = fma(half, run(c, np.clip(sg, -limit, limit)), half)
        return max(e / 2.8, float((np.abs(y.astype(np.float64) - gelu) / (1 + np.abs(g))).max()) / 8.6e-8), e

    c = polish(c, run, s[:60001:4], truth[:60001:4])[0]
    while limit(c, top_floats) < F(3.82) * scale:
        c[0] = np.nextafter(c[0], F(0))
    best, stop, choose = error(c, limit(c, top_floats)), time.time() + seconds, random.Random(seed)
    while time.time() < stop:
        d = list(c)
        for _ in range(choose.choice((1, 1, 2, 3))):
            i, n = choose.randrange(len(d)), choose.choice((1, -1, 2, -2, 4, -4, 16, -16, 64, -64))
            for _ in range(abs(n)):
                d[i] = np.nextafter(d[i], F(np.inf) if n > 0 else F(-np.inf))
        if limit(d, top_floats[::37]) < F(3.81) * scale:
            continue
        last = limit(d, top_floats)
        e = error(d, last)
        if last >= F(3.82) * scale and e[0] <= best[0]:
            c, best = d, e
    print(f"/* scale {hexf(scale)}, limit {hexf(limit(c, top_floats))} */")
    show(f"erf degree {degree}", ideal, c, best[1], best[1])


def fma_same(s):
    return (s.astype(np.float64) * s.astype(np.float64) - 1).astype(F)


def make_tanh():
    """tanh(x) = x + x z P(z), z = x^2, |x| <= 0.625"""
    c, ideal = remez(lambda x: tanh(x) - x, lambda x: x**3, lambda x: x * x, lambda x: 1 / tanh(x), mpf("1e-6"), "0.625", 4)
    x = np.linspace(1e-4, 0.625, 20001).astype(F)

    def run(c, x):
        z = x * x
        return fma((z * horner(list(c), z)).astype(F), x, x)

    show("tanh", ideal, *polish(c, run, x, mpvec(tanh, x)))


def make_log():
    """log(1 + f) = f + f^2 Q(f), -1/3 <= f <= 1/3"""
    c, ideal = remez(lambda f: log(1 + f) - f, lambda f: f * f, ident, lambda f: f / log(1 + f) / f, "-0.33334", "0.33334", 8)
    x = np.linspace(-1 / 3, 1 / 3, 20000).astype(F)

    def run(c, f):
        return fma((f * f).astype(F), horner(list(c), f), f)

    show("log", ideal, *polish(c, run, x, mpvec(lambda v: log(1 + v), x)))


def make_sin():
    """sin(r) = r + r z P(z), z = r^2, |r| <= pi / 4"""
    c, ideal = remez(lambda x: sin(x) - x, lambda x: x**3, lambda x: x * x, lambda x: 1 / sin(x), mpf("1e-6"), "0.7854", 3)
    x = np.linspace(1e-4, 0.7854, 20001).astype(F)

    def run(c, x):
        z = x * x
        return fma((z * horner(list(c), z)).astype(F), x, x)

    show("sin", ideal, *polish(c, run, x, mpvec(sin, x)))


def make_cos():
    """cos(r) = 1 + z P(z), z = r^2, |r| <= pi / 4"""
    c, ideal = remez(lambda x: cos(x) - 1, lambda x: x * x, lambda x: x * x, lambda x: 1 / cos(x), mpf("1e-6"), "0.7854", 3)
    x = np.linspace(1e-4, 0.7854, 20001).astype(F)

    def run(c, x):
        z = x * x
        return fma(horner(list(c), z), z, F(1))

    show("cos", ideal, *polish(c, run, x, mpvec(cos, x)))


def show_constants():
    def chunks(v, n, bits):
        out = []
        for _ in range(n):
            k = mp.floor(v * mpf(2) ** (bits - 1 - mp.floor(log(v, 2)))) / mpf(2) ** (bits - 1 - mp.floor(log(v, 2)))
            out.append(float(k).hex())
            v -= k
        return out

    ln2 = log(mpf(2))
    print("2 ln 2:", hexf(F(float(2 * ln2))), hexf(F(float(2 * ln2 - mpf(float(F(float(2 * ln2))))))), " 1 / (2 ln 2):", hexf(F(float(1 / (2 * ln2)))))
    print("ln 2:", hexf(F(float(ln2))), hexf(F(float(ln2 - mpf(float(F(float(ln2))))))))
    two_over_pi = 2 / mp.pi
    print("2 / pi in pieces of 29 bits:", ", ".join(chunks(two_over_pi, 7, 29)))


if __name__ == "__main__":
    table = {k[5:]: v for k, v in list(globals().items()) if k.startswith("make_")}
    table["constants"] = show_constants
    for name in sys.argv[1:] or table:
        table[name]()
