"""Coefficients of the polynomials in codegen/expand_math.c.

First Remez exchange with 300-bit numbers: P of degree n such that max |w(x) (f(x) - g(x) P(t(x)))| over [a, b] is least. Then the
coefficients, rounded to f32, are moved by units in the last place as long as that lessens the greatest error of the whole function
as it is computed: in f32, with fused multiply-adds. Prints C initialisers, lowest degree first, with the errors reached in ulp.

    python scripts/minimax.py NAME...       exp erf tanh log sin cos, constants; needs mpmath and numpy
"""
import sys
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
    """e^r for |r| <= ln 2 as 1 + r + r^2 Q(r)"""
    c, ideal = remez(lambda r: exp(r) - 1 - r, lambda r: r * r, ident, lambda r: 1 / exp(r), "-0.69315", "0.69315", 5)
    x = np.linspace(-0.6931472, 0.6931472, 20001).astype(F)
    run = lambda c, r: horner([F(1), F(1)] + list(c), r)
    show("exp", ideal, *polish(c, run, x, np.exp(x.astype(np.float64))))


def make_erf(degree=15, top="3.9"):
    """erf(x) = s P(s^2 - 1), s = x sqrt(2) / top, |x| <= top, where it is 1"""
    scale = F(float(sqrt(mpf(2)) / mpf(top)))
    limit = F(float(sqrt(mpf(2))))
    over = lambda s: erf(s / mpf(float(scale))) / s
    c, ideal = remez(over, one, lambda s: s * s - 1, lambda s: 1 / over(s), mpf("1e-6"), mpf(float(limit)), degree)
    x = np.concatenate([np.linspace(1e-4, float(top), 20001), np.linspace(3.3, 4, 10001), np.exp(np.linspace(-18, -9, 200))]).astype(F)
    truth = mpvec(erf, x)

    def run(c, x):
        s = np.minimum((x * scale).astype(F), limit)
        y = (s * horner(list(c), fma_same(s))).astype(F)
        y[(s == limit) & (y < 1)] -= 1  # the top must reach 1, to which the result is clamped
        return np.minimum(y, F(1))

    print(f"/* scale {hexf(scale)}, limit {hexf(limit)} */")
    show(f"erf degree {degree}", ideal, *polish(c, run, x, truth))


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
