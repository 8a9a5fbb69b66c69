#!/usr/bin/env python3
"""Reference values of single operations: writes linear.npz, layer_norm.npz, softmax.npz, gelu.npz,
attention.npz, embedding.npz and einsum.npz. README.md beside this says what each holds.

    .venv/bin/python tests/e2e/goldens/ops.py

In every file the arrays of one case share a prefix, "CASE.". Inputs are f32 (ids i64, masks bool);
CASE.ref is the f64 result from those inputs, CASE.torch PyTorch's f32 result on one thread. Text is
stored as u8 (ASCII), numbers as f64 or i64 without axes. The files are not compressed.
"""

import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent


class Cases:
    """Collects the cases of one file; `rng` is seeded by the file's name, so files are independent."""

    def __init__(self, name):
        self.name = name
        self.rng = np.random.Generator(np.random.PCG64(list(name.encode())))
        self.arrays = {}

    def randn(self, *shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    def add(self, case, compute, *, ref=None, attrs=(), **inputs):
        """Run compute(**inputs as tensors) in f32 and f64; `ref` overrides the f64 result."""
        single = {k: torch.from_numpy(v.copy()) for k, v in inputs.items()}
        double = {k: t.double() if t.is_floating_point() else t for k, t in single.items()}
        with np.errstate(all="ignore"), torch.inference_mode():
            low = compute(**single).numpy()
            high = compute(**double).numpy() if ref is None else ref
        assert low.dtype == np.float32 and high.dtype == np.float64 and low.shape == high.shape, case
        for key, value in {**inputs, **dict(attrs), "ref": high, "torch": low}.items():
            full = f"{case}.{key}"
            assert full not in self.arrays, full
            self.arrays[full] = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        return low, high

    def save(self):
        path = HERE / f"{self.name}.npz"
        np.savez(path, **self.arrays)
        cases = sorted({k.rsplit(".", 1)[0] for k in self.arrays})
        print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")


def text(s):
    return np.frombuffer(s.encode("ascii"), dtype=np.uint8)


def linear():
    """y = x weight^T + bias: x [..., K], weight [N, K], bias [N]."""
    c = Cases("linear")

    def case(name, lead, k, n, bias=True, x=None):
        inputs = {"x": c.randn(*lead, k) if x is None else x, "weight": c.randn(n, k, scale=k**-0.5)}
        if bias:
            inputs["bias"] = c.randn(n)
        c.add(name, lambda x, weight, bias=None: F.linear(x, weight, bias), **inputs)

    case("one", (1,), 1, 1)
    case("primes", (3, 7), 13, 5)
    case("row", (1,), 67, 31)
    case("column", (29,), 11, 1)
    case("no_bias", (3, 5), 17, 19, bias=False)
    case("tile_less_one", (13,), 63, 31)  # one less, exact and one more than usual register tiles
    case("tile_exact", (14,), 64, 32)
    case("tile_plus_one", (15,), 65, 33)
    case("long_k", (2,), 1021, 3)
    case("rank4", (1, 2, 3), 4, 5)
    x = c.randn(5, 7)
    x[1, 2], x[2, 3], x[3, 0], x[3, 1] = np.nan, np.inf, np.inf, -np.inf
    case("nonfinite", None, 7, 11, x=x)  # rows 0 and 4 are ordinary and must stay so
    c.save()


def layer_norm():
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, variance over D."""
    c = Cases("layer_norm")

    def case(name, x, eps):
        d = x.shape[-1]
        c.add(
            name,
            lambda x, weight, bias: F.layer_norm(x, (d,), weight, bias, eps),
            attrs={"eps": np.float64(eps)},
            x=x,
            weight=1 + c.randn(d, scale=0.3),
            bias=c.randn(d, scale=0.3),
        )

    case("one", c.randn(3, 1), 1e-6)  # one element: variance 0, the bias comes out
    case("primes", c.randn(3, 7, 13), 1e-6)
    case("d64", c.randn(1, 5, 64), 1e-12)
    case("d97", c.randn(2, 97), 1e-5)
    case("offset", 1000 + c.randn(3, 61), 1e-6)  # mean far above the spread: one-pass sums fail
    case("tiny", c.randn(3, 31, scale=1e-4), 1e-6)  # variance far below eps
    case("constant", np.full((2, 17), 3.5, np.float32), 1e-6)
    x = c.randn(4, 9)
    x[1, 4], x[2, 8] = np.nan, np.inf
    case("nonfinite", x, 1e-6)  # rows 1 and 2 become NaN, rows 0 and 3 do not
    c.save()


def softmax():
    """exp(x - max) / sum over `axis`."""
    c = Cases("softmax")

    def case(name, x, axis=-1):
        c.add(name, lambda x: torch.softmax(x, axis), attrs={"axis": np.int64(axis)}, x=x)

    for n in (1, 2, 7, 16, 65, 131):
        case(f"n{n}", c.randn(3, n, scale=3))
    case("axis1", c.randn(3, 5, 7), axis=1)
    case("axis0", c.randn(11, 2), axis=0)
    case("equal", np.full((2, 13), -7.25, np.float32))
    case("large", c.randn(3, 19, scale=1e4))  # overflows unless the maximum is taken off
    case("top", np.full((1, 5), np.finfo(np.float32).max, np.float32))
    x = c.randn(4, 11)
    x[0, ::2] = -np.inf
    x[1, 1:] = -np.inf
    case("minus_infinity", x)  # weight exactly 0 there; no row is all -inf
    x = c.randn(3, 5)
    x[1, 2] = np.nan
    case("nan", x)
    c.save()


def gelu():
    """x Phi(x), exactly (erf) and with the tanh approximation."""
    c = Cases("gelu")
    inputs = {
        "one": np.array([0.75], np.float32),
        "grid": np.linspace(-12, 12, 769, dtype=np.float32),
        "random": c.randn(3, 67, scale=2),
        # -inf is not among them: the formula gives -inf * 0 there.
        "special": np.array(
            [0.0, -0.0, 1e-40, -1e-40, 1e-20, -1e-20, 1e30, -1e30, np.inf, np.nan], np.float32
        ),
    }
    phi = np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))  # keeps the lower tail exact
    with np.errstate(invalid="ignore"):
        for name, x in inputs.items():
            exact = x.astype(np.float64) * phi(x.astype(np.float64))
            c.add(f"erf_{name}", F.gelu, ref=exact, x=x)
            c.add(f"tanh_{name}", lambda x: F.gelu(x, approximate="tanh"), x=x)
    c.save()


def attention():
    """softmax(q k^T / sqrt(D) where mask) v; a row without a true key yields zeros.

    q [B, H, I, D], k [B, G, J, D], v [B, G, J, E], H a multiple of G (query head h uses h * G / H);
    mask bool [B, I, J], shared by the heads, absent when every key is seen.
    """
    c = Cases("attention")

    def compute(q, k, v, mask=None):
        ratio = q.shape[1] // k.shape[1]
        k, v = (t.repeat_interleave(ratio, dim=1) for t in (k, v))
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
        return torch.where(mask.any(-1)[:, None, :, None], y, torch.zeros_like(y))

    def case(name, b, h, i, j, d, g=None, e=None, mask=None, scale=1.0):
        g, e = g or h, e or d
        inputs = {
            "q": c.randn(b, h, i, d, scale=scale),
            "k": c.randn(b, g, j, d, scale=scale),
            "v": c.randn(b, g, j, e),
        }
        if mask is not None:
            inputs["mask"] = np.ascontiguousarray(np.broadcast_to(mask, (b, i, j)))
        c.add(name, compute, **inputs)

    def keys(lengths, j):
        return (np.arange(j)[None, :] < np.array(lengths)[:, None])[:, None, :]

    at = np.arange
    case("one", 1, 1, 1, 1, 1)
    case("plain", 3, 2, 7, 7, 5)
    case("cross", 1, 2, 3, 13, 8)  # more keys than queries
    case("d16", 1, 4, 17, 17, 16)
    case("value_width", 2, 1, 5, 6, 3, e=7)
    case("grouped", 2, 4, 5, 5, 3, g=2)
    case("large_scores", 1, 1, 5, 11, 8, scale=4.0)
    case("key_mask", 3, 2, 11, 11, 4, mask=keys([11, 1, 6], 11))
    case("all_masked_batch", 3, 2, 5, 5, 4, mask=keys([5, 0, 3], 5))
    case("all_masked_query", 1, 2, 5, 7, 3, mask=(at(5) != 2)[None, :, None] & keys([4], 7))
    case("causal", 2, 2, 13, 13, 4, mask=(at(13)[None, :] <= at(13)[:, None])[None])
    case("window", 1, 1, 17, 17, 4, mask=(abs(at(17)[None, :] - at(17)[:, None]) <= 2)[None])
    case("scattered", 3, 1, 7, 19, 4, mask=c.rng.random((3, 7, 19)) < 0.3)
    c.save()


def embedding():
    """Rows of a table: table [V, D], ids i64 [...] -> [..., D]; the result is exact."""
    c = Cases("embedding")

    def case(name, v, d, ids):
        ids = np.asarray(ids, np.int64)
        c.add(name, lambda table, ids: table[ids], table=c.randn(v, d), ids=ids)

    case("one", 1, 1, [0])
    case("ends", 31, 7, [[0, 30], [30, 0], [15, 15]])
    case("d64", 11, 64, c.rng.integers(0, 11, (1, 5)))
    case("repeated", 3, 5, [[2] * 7] * 3)
    c.save()


def einsum():
    """CASE.equation is in the language's spelling (axes apart by blanks); inputs a and b."""
    c = Cases("einsum")

    def case(name, equation, a, b=None):
        short = {}
        for axis in equation.replace("->", " ").replace(",", " ").split():
            short.setdefault(axis, axis if axis == "..." else chr(ord("a") + len(short)))
        compact = "".join(
            short.get(t, t) for t in equation.replace(",", " , ").replace("->", " -> ").split()
        )
        inputs = {"a": c.randn(*a)} if b is None else {"a": c.randn(*a), "b": c.randn(*b)}
        c.add(
            name,
            lambda a, b=None: torch.einsum(compact, *([a] if b is None else [a, b])),
            attrs={"equation": text(equation)},
            **inputs,
        )

    case("linear", "... k, o k -> ... o", (3, 2, 7), (5, 7))
    case("linear_no_lead", "... k, o k -> ... o", (7,), (5, 7))
    case("matmul", "i k, k j -> i j", (3, 11), (11, 5))
    case("matmul_ta", "k i, k j -> i j", (11, 3), (11, 5))
    case("matmul_tc", "i k, k j -> j i", (3, 11), (11, 5))
    case("batched", "b i k, b k j -> b i j", (3, 2, 5), (3, 5, 7))
    case("batch_of_one", "b i k, b k j -> b i j", (1, 1, 1), (1, 1, 1))
    case("scores", "b h i d, b h j d -> b h i j", (1, 3, 5, 4), (1, 3, 7, 4))
    case("weighted", "b h i j, b h j d -> b h i d", (1, 3, 5, 7), (1, 3, 7, 4))
    case("experts", "b s k d, b s k -> b s d", (3, 5, 2, 7), (3, 5, 2))
    case("two_summed", "b i h d, h d o -> b i o", (3, 2, 5, 7), (5, 7, 11))
    case("outer", "b e, e n -> b e n", (3, 5), (5, 7))
    case("outer_vectors", "i, j -> i j", (5,), (3,))
    case("dot", "i, i ->", (13,), (13,))
    case("matvec", "b i j, j -> b i", (3, 5, 7), (7,))
    case("pointwise", "b i, b i -> b i", (3, 7), (3, 7))
    case("broadcast", "b i, i -> b i", (3, 7), (7,))
    case("transpose", "b i j -> j b i", (3, 5, 7))
    case("sum", "b i j -> b j", (3, 5, 7))
    case("sum_in_one", "i k, j -> i", (3, 5), (7,))  # both k and j are summed
    case("long_names", "batch in, out in -> batch out", (3, 13), (5, 13))
    c.save()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for family in (linear, layer_norm, softmax, gelu, attention, embedding, einsum):
        family()
