"""Vision transformers, CLIP and convolutions, against Hugging Face's and PyTorch's classes."""

import numpy as np
import torch
import torch.nn.functional as F
import transformers as hf
from torch import nn

from goldens import Row, generator


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def image_cases(name, *shape, prefix=""):
    rng = generator(name + prefix)
    return {f"{prefix}one_image": {"pixels": normal(rng, 1, *shape)}, f"{prefix}three_images": {"pixels": normal(rng, 3, *shape)}}


def sizes(dim, heads, hidden):
    return {"hidden_size": dim, "num_hidden_layers": 2, "num_attention_heads": heads, "intermediate_size": hidden}


# ---- ViT and DeiT ----

VIT = hf.ViTConfig(**sizes(39, 3, 53), image_size=[29, 43], patch_size=7, layer_norm_eps=1e-3)
VIT_CLASSIFIER = hf.ViTConfig(**sizes(24, 2, 31), image_size=[8, 16], patch_size=4, num_channels=2, num_labels=7)
DEIT = hf.DeiTConfig(**sizes(30, 5, 37), image_size=[22, 33], patch_size=11, num_labels=5)
DEIT_WITH_TEACHER = hf.DeiTConfig(**sizes(28, 7, 41), image_size=[15, 10], patch_size=5, num_labels=11, layer_norm_eps=1e-6)


def run_vit(model, entry, x):
    y = model(x["pixels"])
    return {"hidden": y.last_hidden_state, "pooled": y.pooler_output}


def run_classifier(model, entry, x):
    return {"logits": model(x["pixels"]).logits}


# ---- CLIP ----

END = 30
CLIP = hf.CLIPConfig(
    text_config={**sizes(21, 3, 29), "vocab_size": 31, "max_position_embeddings": 13, "eos_token_id": END, "bos_token_id": 1, "pad_token_id": 0},
    vision_config={**sizes(20, 5, 31), "image_size": 23, "patch_size": 5},
    projection_dim=9,
)


def clip_cases():
    rng = generator("clip")

    def texts(s, lengths):
        ids = rng.integers(1, END, (len(lengths), s))
        mask = np.arange(s) < np.array(lengths)[:, None]
        for row, n in zip(ids, lengths):
            row[n - 1 :] = END, *[0] * (s - n)
        return {"ids": ids, "mask": mask}

    cases = image_cases("clip", 3, 23, 23, prefix="image.")
    cases["text.one_token"] = texts(1, [1])
    cases["text.padded"] = texts(7, [7, 5, 1])
    cases["text.bound"] = texts(13, [13, 12, 2])
    cases["text.padded_with_the_end"] = x = texts(11, [4, 9])
    x["ids"][~x["mask"]] = END
    return cases


def run_clip(model, entry, x):
    if entry == "image":
        y, project = model.vision_model(x["pixels"]), model.visual_projection
    else:
        y, project = model.text_model(x["ids"], attention_mask=x["mask"]), model.text_projection
    return {"embedding": F.normalize(project(y.pooler_output), dim=1), "hidden": y.last_hidden_state}


# ---- convolutions, batch norm, pooling ----


def make_convolutions():
    return nn.ModuleDict({
        "linear": nn.Linear(13, 7),
        "linear_norm": nn.BatchNorm1d(7),
        "conv": nn.Conv2d(3, 8, 4, stride=4, bias=False),
        "conv_norm": nn.BatchNorm2d(8, eps=1e-3),
        "input_norm": nn.BatchNorm2d(3),
        "time": nn.Conv1d(13, 13, 4, groups=13, padding=3),
        "time_one": nn.Conv1d(13, 13, 1, groups=13, bias=False),
    })


def convolutions_cases():
    rng = generator("convolutions")
    cases = {"tokens.one": {"x": normal(rng, 1, 1, 13)}, "tokens.primes": {"x": normal(rng, 3, 17, 13)}}
    cases |= {"image.one": {"x": normal(rng, 1, 3, 16, 23)}, "image.three": {"x": normal(rng, 3, 3, 16, 23)}}
    cases |= {f"time.{s}": {"x": normal(rng, 2, s, 13)} for s in (1, 2, 3, 4, 19)}
    cases |= {f"pools.{h}": {"x": normal(rng, 2, 3, h, 17)} for h in (3, 4, 5, 7, 23)}
    return cases


def run_convolutions(module, entry, x):
    x = x["x"]
    if entry == "tokens":
        y = module["linear"](x)
        return {"y": module["linear_norm"](y.flatten(0, 1)).reshape(y.shape)}
    if entry == "image":
        return {"y": module["conv_norm"](module["conv"](x)), "z": module["input_norm"](x)}
    if entry == "time":
        y, one = module["time"](x.mT), module["time_one"](x.mT)
        return {"y": y[..., : x.shape[1]].mT, "one": one.mT}
    return {"average": F.avg_pool2d(x, 3), "largest": F.max_pool2d(x, 3, stride=2)}


ROWS = [
    Row("vit", lambda: hf.ViTModel(VIT), image_cases("vit", 3, 29, 43), run_vit),
    Row("vit_classifier", lambda: hf.ViTForImageClassification(VIT_CLASSIFIER), image_cases("vit_classifier", 2, 8, 16), run_classifier),
    Row("deit", lambda: hf.DeiTForImageClassification(DEIT), image_cases("deit", 3, 22, 33), run_classifier),
    Row(
        "deit_with_teacher", lambda: hf.DeiTForImageClassificationWithTeacher(DEIT_WITH_TEACHER),
        image_cases("deit_with_teacher", 3, 15, 10), run_classifier,
    ),
    Row("clip", lambda: hf.CLIPModel(CLIP), clip_cases(), run_clip),
    Row("convolutions", make_convolutions, convolutions_cases(), run_convolutions),
]
