"""Blocks of the prelude, against functions of PyTorch and transformers."""

import numpy as np
import torch
import torch.nn.functional as F
import transformers as hf
from torch import nn
from transformers.models.gpt_neox import modeling_gpt_neox as gpt_neox
from transformers.models.gptj import modeling_gptj as gptj
from transformers.models.llama import modeling_llama as llama
from transformers.models.t5 import modeling_t5 as t5

from goldens import Row, generator


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


# ---- attention: every way to say which keys count, against scaled_dot_product_attention ----

HEADS, KV, D, E = 6, 2, 5, 3


def attention_cases():
    rng = generator("attention")

    def case(b, s, k, mask=None):
        x = {"q": normal(rng, b, HEADS, s, D), "k": normal(rng, b, KV, k, D), "v": normal(rng, b, KV, k, E)}
        if mask is not None:
            x["mask"] = rng.random((b, k)) < mask
        return x

    cases = {"plain.one": case(1, 1, 1), "plain.primes": case(3, 7, 13), "causal.one": case(1, 1, 1)}
    for entry in "keys", "causal", "window", "causal_window", "all_of_them":
        cases[f"{entry}.primes"] = case(3, 7, 7 if entry != "keys" else 11, mask=0.7)
        cases[f"{entry}.bound"] = case(3, 19, 19, mask=0.5)
    cases["causal.with_a_past"] = case(2, 5, 17)
    for x in cases["causal.one"], cases["causal.with_a_past"]:
        x["mask"] = np.ones((x["k"].shape[0], x["k"].shape[2]), bool)
    for entry in "biased", "biased_keys":
        for name, b, s in ("one", 1, 1), ("primes", 3, 11):
            cases[f"{entry}.{name}"] = x = case(b, s, s, mask=0.6 if entry == "biased_keys" else None)
            x["bias"] = 2 * normal(rng, *([b] if entry == "biased_keys" else []), HEADS, s, s)
    cases["all_of_them.primes"]["bias"] = normal(rng, HEADS, 7, 7)
    cases["all_of_them.bound"]["bias"] = normal(rng, HEADS, 19, 19)
    for entry in "keys", "biased_keys":
        cases[f"{entry}.primes"]["mask"][1] = False
    return cases


def run_attention(module, entry, x):
    q, k, v = x["q"], x["k"], x["v"]
    i = torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
    j = torch.arange(k.shape[2])
    keep = torch.ones(len(i), len(j), dtype=bool)
    if "causal" in entry or entry == "all_of_them":
        keep &= j <= i
    if "window" in entry or entry == "all_of_them":
        keep &= abs(i - j) <= 2
    keep = keep.expand(q.shape[0], 1, -1, -1)
    if "mask" in x:
        keep = keep & x["mask"][:, None, None]
    mask = keep
    if "bias" in x:
        mask = torch.where(keep, x["bias"], -torch.inf)
    return {"y": F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)}


# ---- rotary positions ----

ROTARY = {
    "plain": hf.LlamaConfig(hidden_size=12, num_attention_heads=1, head_dim=12, rope_parameters={"rope_type": "default", "rope_theta": 1e4}),
    "linear": hf.LlamaConfig(hidden_size=12, num_attention_heads=1, head_dim=12, rope_parameters={"rope_type": "linear", "rope_theta": 5e5, "factor": 4.0}),
    "llama3": hf.LlamaConfig(
        hidden_size=12, num_attention_heads=1, head_dim=12,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 512,
        },
    ),
    "partial": hf.LlamaConfig(hidden_size=8, num_attention_heads=1, head_dim=8, rope_parameters={"rope_type": "default", "rope_theta": 1e4}),
}


def rope_cases():
    rng = generator("rope")
    cases = {}
    for entry in "plain", "linear", "llama3", "partial", "pairs", "partial_pairs":
        cases[f"{entry}.one"] = {"x": normal(rng, 1, 1, 1, 12), "positions": np.array([[3]])}
        cases[f"{entry}.primes"] = {"x": normal(rng, 3, 5, 7, 12), "positions": rng.integers(0, 97, (3, 7))}
    cases["counted.primes"] = {"x": normal(rng, 2, 3, 19, 12)}
    return cases


def run_rope(module, entry, x):
    y = x["x"]
    if entry == "counted":
        cos, sin = module["plain"](y, torch.arange(y.shape[2])[None])
        return {"y": llama.apply_rotary_pos_emb(y, y, cos, sin)[0]}
    if entry in ("pairs", "partial_pairs"):
        freqs = module["plain" if entry == "pairs" else "partial"].inv_freq
        angle = x["positions"][..., None] * freqs
        tokens, n = y.transpose(1, 2), 2 * len(freqs)
        turned = gptj.apply_rotary_pos_emb(tokens[..., :n], angle.sin(), angle.cos())
        return {"y": torch.cat([turned, tokens[..., n:]], -1).transpose(1, 2)}
    cos, sin = module[entry](y, x["positions"])
    if entry == "partial":
        return {"y": gpt_neox.apply_rotary_pos_emb(y, y, cos, sin)[0]}
    return {"y": llama.apply_rotary_pos_emb(y, y, cos, sin)[0], "freqs": module[entry].inv_freq}


def run_buckets(module, entry, x):
    n, keys = x["zeros"].shape
    distance = torch.arange(keys)[None] - torch.arange(n)[:, None]
    sizes = {"num_buckets": 20, "max_distance": 50} if entry == "other" else {"num_buckets": 32, "max_distance": 128}
    return {"bucket": t5.T5Attention._relative_position_bucket(distance, **sizes).double()}


def buckets_cases():
    sizes = {"default.far": (300, 211), "other.far": (211, 300), "default.one": (1, 1)}
    return {case: {"zeros": np.zeros(size, np.float32)} for case, size in sizes.items()}


# ---- linear layers, norms, activations, gated feed-forward networks ----


def make_layers():
    return nn.ModuleDict({
        "plain": nn.Linear(10, 7, bias=False),
        "norm": nn.LayerNorm(10, eps=1e-3),
        "bare_norm": nn.LayerNorm(10, eps=1e-5, bias=False),
        "rms": nn.RMSNorm(10, eps=1e-6),
        "llama": llama.LlamaMLP(hf.LlamaConfig(hidden_size=10, num_attention_heads=1, intermediate_size=17)),
        "biased": llama.LlamaMLP(hf.LlamaConfig(hidden_size=10, num_attention_heads=1, intermediate_size=17, mlp_bias=True)),
        "exact": llama.LlamaMLP(hf.LlamaConfig(hidden_size=10, num_attention_heads=1, intermediate_size=17, hidden_act="gelu")),
        "t5": t5.T5DenseGatedActDense(hf.T5Config(d_model=10, d_ff=13, feed_forward_proj="gated-gelu", dropout_rate=0.0)),
        "table": nn.Embedding(23, 10),
    })


def layers_cases():
    rng = generator("layers")
    extremes = np.array([[0.0, -0.0, 1.0, -1.0, 5.0, -5.0, 20.0, -20.0, 80.0, -80.0]], np.float32)
    cases = {"activations.extremes": {"x": extremes}, "activations.primes": {"x": 3 * normal(rng, 7, 10)}}
    for entry in "norms", "networks":
        cases[f"{entry}.one"] = {"x": normal(rng, 1, 10)}
        cases[f"{entry}.primes"] = {"x": 2 * normal(rng, 19, 10) + 1}
    cases["lookup.primes"] = {"ids": rng.integers(0, 23, (19,))}
    return cases


def run_layers(module, entry, x):
    if entry == "lookup":
        return {"y": module["table"](x["ids"])}
    x = x["x"]
    if entry == "activations":
        return {
            "gelu": F.gelu(x), "gelu_tanh": F.gelu(x, approximate="tanh"), "relu": F.relu(x), "silu": F.silu(x),
            "sigmoid": F.sigmoid(x), "softplus": F.softplus(x), "softmax": F.softmax(x, -1),
        }
    names = {"norms": ("plain", "norm", "bare_norm", "rms"), "networks": ("llama", "biased", "exact", "t5")}
    return {name: module[name](x) for name in names[entry]}


# ---- pooling ----


def pooling_cases():
    rng = generator("pooling")
    cases = {"masked.one": {"x": normal(rng, 1, 1, 6), "mask": np.ones((1, 1), bool)}, "all.primes": {"x": normal(rng, 3, 7, 6)}}
    cases["masked.primes"] = {"x": normal(rng, 3, 13, 6) - 2, "mask": rng.random((3, 13)) < 0.5}
    cases["masked.row_without_tokens"] = x = {"x": normal(rng, 3, 19, 6), "mask": rng.random((3, 19)) < 0.5}
    x["mask"][1] = False
    return cases


def run_pooling(module, entry, x):
    x, mask = x["x"], x.get("mask", torch.ones(x["x"].shape[:2], dtype=bool))
    m, some = mask[..., None], mask.any(1)[:, None]
    last = mask.shape[1] - 1 - mask.int().flip(1).argmax(1)
    mean = (x * m).sum(1) / m.sum(1).clamp(min=1)
    return {
        "cls": x[:, 0],
        "mean": mean,
        "greatest": torch.where(some, x.masked_fill(~m, -torch.inf).max(1).values, 0),
        "last": torch.where(some, x[torch.arange(len(x)), last], 0),
        "unit": F.normalize(mean, dim=1),
    }


ROWS = [
    Row("attention", nn.Module, attention_cases(), run_attention),
    Row("rope", lambda: nn.ModuleDict({k: llama.LlamaRotaryEmbedding(c) for k, c in ROTARY.items()}), rope_cases(), run_rope),
    Row("buckets", nn.Module, buckets_cases(), run_buckets),
    Row("layers", make_layers, layers_cases(), run_layers),
    Row("pooling", nn.Module, pooling_cases(), run_pooling),
]
