#!/usr/bin/env python3
"""Train the transformer that adds, and write sums.safetensors and what it must answer.

    .venv/bin/python examples/embed_c/train.py

It is trained on nine tenths of the 10,000 sums and has to get all of them right, the others included.
golden_logits.npy, f32 [64, 3, 10], is what PyTorch computes in double precision for golden_ids.npy,
i32 [64, 7]. One to two minutes on one core.
"""

import math
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
SEED = 12
DIM, HEADS, HIDDEN, LAYERS = 32, 4, 64, 2
BLANK = 10


class Sums(nn.Module):
    """ids i64[B, 7]: four digits and three blanks -> logits f32[B, 3, 10]. sums.tfx says the same."""

    def __init__(self):
        super().__init__()
        self.digits = nn.Embedding(11, DIM)
        self.positions = nn.Parameter(torch.randn(7, DIM))
        layer = nn.TransformerEncoderLayer(
            DIM, HEADS, HIDDEN, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, 10)

    def forward(self, ids):
        x = self.encoder(self.digits(ids) + self.positions)
        return self.head(self.norm(x[:, 4:]))


def all_sums():
    """ids i64[10000, 7] and the sums' digits i64[10000, 3]."""
    a, b = torch.meshgrid(torch.arange(100), torch.arange(100), indexing="ij")
    a, b = a.flatten(), b.flatten()
    c = a + b
    blanks = [torch.full_like(a, BLANK)] * 3
    return torch.stack([a // 10, a % 10, b // 10, b % 10, *blanks], 1), torch.stack(
        [c // 100, c // 10 % 10, c % 10], 1
    )


def main():
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    x, y = all_sums()
    rows = torch.randperm(len(x))[: len(x) * 9 // 10]
    model = Sums()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    steps, batch = 1500, 256
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        pick = rows[torch.randint(len(rows), (batch,))]
        loss = nn.functional.cross_entropy(model(x[pick]).flatten(0, 1), y[pick].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 500 == 499:
            print(f"step {step + 1}  loss {loss.item():.4f}", flush=True)

    model.eval()
    with torch.no_grad():
        right = (model(x).argmax(-1) == y).all(-1)
        held = torch.ones(len(x), dtype=torch.bool)
        held[rows] = False
        print(f"{right.sum()} of {len(x)} sums right, {right[held].sum()} of {held.sum()} of those it never saw")
        if not right.all():
            raise SystemExit("train.py: not all sums are right; nothing is written")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, HERE / "sums.safetensors")
        some = x[torch.arange(64) * 157 % len(x)]
        logits = model.double()(some).float()
    np.save(HERE / "golden_ids.npy", some.numpy().astype(np.int32))
    np.save(HERE / "golden_logits.npy", logits.numpy())


if __name__ == "__main__":
    main()
