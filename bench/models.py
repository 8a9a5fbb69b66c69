"""The models that the benchmark runs: one row of MODELS each.

A row gives every engine the same weights: `module` loads the PyTorch module from the very safetensors file that tfxc is
given. To add a model, write its loader and its inputs, and add a row. PyTorch is imported only by those who call for it:
engines that run without it are measured without it.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Callable

import numpy as np

import cache

ROOT = cache.ROOT


class Missing(Exception):
    """What a model needs and this machine does not have."""


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    source: pathlib.Path  # the .tfx file
    weights: Callable[[], pathlib.Path]  # the safetensors file, made or found
    module: Callable[[str], object]  # attention ("sdpa", "eager") -> the same in PyTorch, f32, eval mode
    inputs: Callable[[int, int], dict[str, np.ndarray]]  # batch size, tokens -> inputs by name, in order
    outputs: tuple[str, ...]
    tokens: tuple[int, ...]  # of one row of the batch
    batches: tuple[int, ...]
    max_batch: int
    tolerance: float = 2e-5  # how far an output may be from the f64 reference, as a share of its largest magnitude
    dtype: str = "f32"
    max_tokens: int | None = None  # when inputs have an axis of tokens, the second one
    imports: str | None = None  # what `module` imports
    plain: bool = True  # whether `module` can write attention out ("eager"), for the older exporter
    onnx_type: str = "bert"  # what onnxruntime's offline optimizer calls this family
    heads: int = 0  # told to that optimizer
    dim: int = 0
    quick: tuple[tuple[int, int], ...] = ()  # (batch, tokens) that --quick measures

    def dims(self, batch, tokens):
        """The dims of the .tfx source."""
        return {"B": batch} | ({"S": tokens} if self.max_tokens else {})

    def shapes(self, batches=None, tokens=None):
        return [(b, t) for t in tokens or self.tokens for b in batches or self.batches]


# ---- inputs ----


def _texts(batch, tokens, names):
    """Any words. In a batch, every second text is a quarter shorter, as texts are that were sorted by length."""
    random = np.random.default_rng(tokens * 100 + batch)
    mask = np.ones((batch, tokens), bool)
    mask[1::2, tokens - tokens // 4 :] = False
    all_inputs = {
        "ids": random.integers(1000, 30522, (batch, tokens)),
        "mask": mask,
        "token_type_ids": np.zeros((batch, tokens), np.int64),
    }
    return {name: all_inputs[name] for name in names}


def _images(batch, tokens):
    return {"pixels": np.random.default_rng(batch).uniform(-1, 1, (batch, 3, 224, 224)).astype(np.float32)}


# ---- models that the examples train or fetch ----


def _example(name):
    """The folder of an example, whose Python files can then be imported."""
    folder = ROOT / "examples" / name
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def _digits_module(attention):
    _example("digits")
    import vit

    return vit.load()


def _digits_inputs(batch, tokens):
    return {"pixels": np.ascontiguousarray(np.load(_example("digits") / "test_images.npy")[:batch])}


def _minilm_weights():
    path = ROOT / ".cache" / "minilm" / "model.safetensors"
    if not path.exists():
        raise Missing(f"there is no {path.relative_to(ROOT)}: examples/minilm/fetch gets it")
    return path


def _minilm_module(attention):
    _minilm_weights()
    _example("minilm")
    import reference

    return reference.load(attention)


# ---- models with random weights ----


def _random_weights(name, recipe, make, rename=()):
    """The folder of a checkpoint as Hugging Face publishes them, with random weights: written once, the same for every
    engine; `recipe` is what `make` depends on. transformers draws the matrices (normal, 0.02); biases and norms, which it makes 0 and 1, are drawn as well, so
    that an engine that forgets one is found out."""

    def write(folder):
        import torch
        import transformers
        from safetensors.torch import load_file, save_file

        transformers.utils.logging.disable_progress_bar()
        torch.manual_seed(4)
        module = make()
        with torch.no_grad():
            for key, p in module.named_parameters():
                if p.ndim == 1:
                    p.copy_(torch.randn_like(p) * 0.02 + (1 if key.endswith("weight") else 0))
        module.save_pretrained(folder)
        file = folder / "model.safetensors"
        weights = load_file(file)
        for old, new in rename:
            weights = {new(k) if old(k) else k: v for k, v in weights.items()}
        save_file(weights, file, metadata={"format": "pt"})

    return cache.made(f"weights/{name}", [recipe, *cache.versions("torch", "transformers")], write)


# The published BERT's own names: under "bert", norms with gamma and beta.
_AS_BERT = (
    (lambda k: True, lambda k: f"bert.{k}"),
    (lambda k: "LayerNorm.weight" in k, lambda k: k.replace("LayerNorm.weight", "LayerNorm.gamma")),
    (lambda k: "LayerNorm.bias" in k, lambda k: k.replace("LayerNorm.bias", "LayerNorm.beta")),
)


def _bert_folder(name, **sizes):
    def make():
        from transformers import BertConfig, BertModel

        return BertModel(BertConfig(**sizes))

    return _random_weights(name, sizes, make, _AS_BERT)


def _load(kind, folder, attention):
    """A module of transformers with all the weights of a folder."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    module, info = getattr(transformers, kind).from_pretrained(
        folder, attn_implementation=attention, dtype=torch.float32, output_loading_info=True
    )
    wrong = {k: v for k, v in info.items() if k in ("missing_keys", "unexpected_keys", "mismatched_keys") and v}
    if wrong:
        raise RuntimeError(f"the checkpoint does not fit the module: {wrong}")
    return module


def _bert_module(folder, attention):
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = _load("BertModel", folder, attention)

        def forward(self, ids, mask, token_type_ids):
            out = self.bert(input_ids=ids, attention_mask=mask.long(), token_type_ids=token_type_ids)
            return out.last_hidden_state, out.pooler_output

    return Encoder().eval()


def _vit_folder():
    def make():
        from transformers import ViTConfig, ViTForImageClassification

        return ViTForImageClassification(ViTConfig(num_labels=1000))

    return _random_weights("vit_base", "base", make)


def _vit_module(attention):
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = _load("ViTForImageClassification", _vit_folder(), attention)

        def forward(self, pixels):
            return self.vit(pixel_values=pixels).logits

    return Classifier().eval()


def _bert(name, source, sizes, **row):
    def folder():
        return _bert_folder(name, **sizes)

    return Model(
        name=name,
        source=source,
        weights=lambda: folder() / "model.safetensors",
        module=lambda attention: _bert_module(folder(), attention),
        inputs=lambda batch, tokens: _texts(batch, tokens, ("ids", "mask", "token_type_ids")),
        outputs=("hidden", "pooled"),
        tokens=(1, 16, 128, 512),
        batches=(1, 8),
        max_batch=32,
        max_tokens=512,
        imports="transformers.models.bert.modeling_bert",
        heads=sizes["num_attention_heads"],
        dim=sizes["hidden_size"],
        **row,
    )


_ROWS = [
    Model(
        name="digits",
        source=ROOT / "examples" / "digits" / "digits.tfx",
        weights=lambda: ROOT / "examples" / "digits" / "model.safetensors",
        module=_digits_module,
        inputs=_digits_inputs,
        outputs=("logits",),
        tokens=(65,),
        batches=(1, 8, 64),
        max_batch=64,
        plain=False,
        onnx_type="vit",
        heads=4,
        dim=64,
    ),
    Model(
        name="minilm",
        source=ROOT / "examples" / "minilm" / "minilm.tfx",
        weights=_minilm_weights,
        module=_minilm_module,
        inputs=lambda batch, tokens: _texts(batch, tokens, ("ids", "mask")),
        outputs=("emb",),
        tokens=(1, 16, 128, 512),
        batches=(1, 8),
        max_batch=64,
        max_tokens=512,
        imports="transformers.models.bert.modeling_bert",
        heads=12,
        dim=384,
        quick=((1, 16), (1, 128)),
    ),
    _bert(
        "small",
        ROOT / "bench" / "small.tfx",
        {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024},
        quick=((1, 128),),
    ),
    _bert(
        "bert_base",
        ROOT / "examples" / "models" / "bert_base.tfx",
        {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
        quick=((1, 128),),
    ),
    Model(
        name="vit_base",
        source=ROOT / "examples" / "models" / "vit_base.tfx",
        weights=lambda: _vit_folder() / "model.safetensors",
        module=_vit_module,
        inputs=_images,
        outputs=("logits",),
        tokens=(197,),
        batches=(1, 8),
        max_batch=32,
        imports="transformers.models.vit.modeling_vit",
        onnx_type="vit",
        heads=12,
        dim=768,
        quick=((1, 197),),
    ),
]
MODELS = {row.name: row for row in _ROWS}


@dataclasses.dataclass(frozen=True)
class Reference:
    outputs: list  # in double precision: PyTorch, f32 weights and inputs widened to f64
    flops: int  # of the contractions: matmuls, convolutions, both products of attention; a multiply-add is two


def reference(model, batch, tokens, only_cached=False):
    """What is right, and how much work it is. Kept, for it takes long."""

    def write(path):
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        module = model.module("sdpa").double()
        widened = [
            torch.from_numpy(a).double() if a.dtype == np.float32 else torch.from_numpy(a)
            for a in model.inputs(batch, tokens).values()
        ]
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
            outputs = as_arrays(module(*widened))
        np.savez(path, np.int64(counter.get_total_flops()), *outputs)

    depends_on = ["with flops", cache.stamp(model.weights()), *cache.versions("torch", "transformers")]
    path = cache.made(f"reference/{model.name}-{batch}x{tokens}", depends_on, write, ".npz", only_cached)
    with np.load(path) as stored:
        flops, *outputs = (stored[k] for k in stored.files)
    return Reference(outputs, int(flops))


def as_arrays(result):
    """A module's result, one tensor or several, as a list of numpy arrays."""
    many = result if isinstance(result, (tuple, list)) else (result,)
    return [t.numpy() for t in many]
