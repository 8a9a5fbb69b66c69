"""The digits vision transformer in PyTorch, and the data it is trained and tested on.

This is the one Python statement of the model; train.py, make_goldens.py, the benchmark and the
reference scripts of the tests all import it. digits.tfx beside it says the same model to tfxc.

Modules are named so that `state_dict()` gives exactly the tensor names of model.safetensors, which
follow the Hugging Face ViT checkpoints: the block library that reads those reads this file too.
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent

SIDE = 8  # pixels per side; a patch is one pixel, so a picture is SIDE * SIDE tokens
TOKENS = SIDE * SIDE + 1  # and the class token
DIM = 64
HEADS = 4
HIDDEN = 256
LAYERS = 4
CLASSES = 10
EPS = 1e-6


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(DIM, DIM)
        self.key = nn.Linear(DIM, DIM)
        self.value = nn.Linear(DIM, DIM)

    def forward(self, x):
        b, s, d = x.shape
        q, k, v = (
            f(x).view(b, s, HEADS, d // HEADS).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        a = nn.functional.scaled_dot_product_attention(q, k, v)
        return a.transpose(1, 2).reshape(b, s, d)


def _named(**children):
    """A module that only gives its children's parameters a path."""
    m = nn.Module()
    for name, child in children.items():
        m.add_module(name, child)
    return m


class Layer(nn.Module):
    """Pre-norm: x + attention(norm(x)), then that plus its feed-forward part of its own norm."""

    def __init__(self):
        super().__init__()
        self.layernorm_before = nn.LayerNorm(DIM, eps=EPS)
        self.attention = _named(
            attention=SelfAttention(), output=_named(dense=nn.Linear(DIM, DIM))
        )
        self.layernorm_after = nn.LayerNorm(DIM, eps=EPS)
        self.intermediate = _named(dense=nn.Linear(DIM, HIDDEN))
        self.output = _named(dense=nn.Linear(HIDDEN, DIM))

    def forward(self, x, note=lambda name, value: None):
        a = self.attention.attention(self.layernorm_before(x))
        attended = x + self.attention.output.dense(a)
        note("attended", attended)
        h = nn.functional.gelu(self.intermediate.dense(self.layernorm_after(attended)))
        return attended + self.output.dense(h)


def waves():
    """Where the positions start: row and column as sines and cosines, f32[1, TOKENS, DIM].

    One pixel says little. Unless the positions start about as large as the projected pixel, and near
    ones alike, the tokens of a picture start out indistinct and training stalls for many epochs.
    """
    frequency = torch.pi / SIDE * torch.arange(1, DIM // 4 + 1) / 2
    angle = torch.arange(SIDE).float()[:, None] * frequency
    wave = torch.cat([angle.sin(), angle.cos()], dim=1) * 0.7  # [SIDE, DIM / 2]
    rows = wave[:, None, :].expand(SIDE, SIDE, -1)
    columns = wave[None, :, :].expand(SIDE, SIDE, -1)
    grid = torch.cat([rows, columns], dim=2).reshape(1, SIDE * SIDE, DIM)
    return torch.cat([torch.zeros(1, 1, DIM), grid], dim=1)


class Embeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.position_embeddings = nn.Parameter(torch.zeros(1, TOKENS, DIM))
        self.patch_embeddings = _named(projection=nn.Conv2d(1, DIM, kernel_size=1))

    def forward(self, pixels):
        patches = self.patch_embeddings.projection(pixels).flatten(2).transpose(1, 2)
        cls = self.cls_token.expand(pixels.shape[0], -1, -1)
        return torch.cat([cls, patches], dim=1) + self.position_embeddings


class DigitsViT(nn.Module):
    """pixels f32[B, 1, 8, 8] in 0..1 -> logits f32[B, 10]."""

    def __init__(self):
        super().__init__()
        self.vit = _named(
            embeddings=Embeddings(),
            encoder=_named(layer=nn.ModuleList(Layer() for _ in range(LAYERS))),
            layernorm=nn.LayerNorm(DIM, eps=EPS),
        )
        self.classifier = nn.Linear(DIM, CLASSES)
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Conv2d)):
                nn.init.trunc_normal_(m.weight, std=0.02 if m is self.classifier else 0.125)
                nn.init.zeros_(m.bias)
        with torch.no_grad():
            self.vit.embeddings.position_embeddings.copy_(waves())
        nn.init.trunc_normal_(self.vit.embeddings.cls_token, std=0.5)
        nn.init.trunc_normal_(self.vit.embeddings.patch_embeddings.projection.weight, std=1.0)

    def forward(self, pixels, note=lambda name, value: None):
        """`note(name, value)` is called with every tensor that the reference files keep."""
        x = self.vit.embeddings(pixels)
        note("vit.embeddings", x)
        for i, layer in enumerate(self.vit.encoder.layer):
            path = f"vit.encoder.layer.{i}"
            x = layer(x, lambda name, value, path=path: note(f"{path}:{name}", value))
            note(path, x)
        x = self.vit.layernorm(x)
        note("vit.layernorm", x)
        logits = self.classifier(x[:, 0])
        note("logits", logits)
        return logits


def load(path=HERE / "model.safetensors", dtype=torch.float32):
    """The trained model in `dtype`, from its safetensors file, in eval mode."""
    model = DigitsViT()
    model.load_state_dict(load_file(path), strict=True)
    return model.to(dtype).eval()


def split():
    """The fixed stratified split: (train_x, train_y, test_x, test_y); x f32[N, 1, 8, 8], y i64[N]."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    x = (data.images / 16.0).astype(np.float32)[:, None]  # values 0..16: exact in f32
    y = data.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=0
    )
    return train_x, train_y, test_x, test_y
