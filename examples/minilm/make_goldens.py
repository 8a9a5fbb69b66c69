#!/usr/bin/env python3
"""Write what PyTorch gives for all-MiniLM-L6-v2: goldens/goldens.npz. Needs scripts/setup --bench, and fetch.

    .venv/bin/python examples/minilm/make_goldens.py

For each shape and kind of mask a folder in the archive, `t128_b3_scattered/`: ids u16 [3, 128], mask bool [3, 128],
emb f32 [3, 384]. Masks: `none` has all true; `scattered` has a third false, anywhere, and where the batch is larger
than one the second row padded at its end and the last row all false; `masked` has all false and zeros for emb. And `texts.npy`, f32: one row for each line of
goldens/texts.txt (title, tab, text), tokenised and cut as sentence-transformers does; zeros for an empty text.

Prints how far f32 is from the same model in f64, which is what an implementation's own error compares with.
"""

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from reference import CACHE, HERE, MAX_TOKENS, load

TOKENS = (1, 2, 7, 64, 128, 511, 512)
BATCHES = (1, 3, 8)
CLS, SEP, FIRST_WORD, VOCABULARY = 101, 102, 999, 30522


def make_ids(random, batch, tokens):
    ids = random.integers(FIRST_WORD, VOCABULARY, (batch, tokens))
    ids[:, 0] = CLS
    if tokens > 1:
        ids[:, -1] = SEP
    return ids.astype(np.uint16)


def make_mask(random, batch, tokens, kind):
    mask = np.ones((batch, tokens), bool)
    if kind == "masked":
        return ~mask
    if kind == "scattered":
        mask = random.random((batch, tokens)) < 2 / 3
        mask[np.arange(batch), random.integers(0, tokens, batch)] = True
        if batch > 1:
            mask[1] = np.arange(tokens) < (tokens + 1) // 2
            mask[-1] = False
    return mask


def run(model, ids, mask):
    with torch.inference_mode():
        return model(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(mask)).numpy()


def text_rows(model):
    """One row for each golden text."""
    lines = (HERE / "goldens" / "texts.txt").read_text().removesuffix("\n").split("\n")
    texts = [line.split("\t", 1)[1] for line in lines]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(CACHE / "tokenizer.json"), pad_token="[PAD]")
    batch = tokenizer(texts, truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="np")
    rows = run(model, batch["input_ids"], batch["attention_mask"].astype(bool))
    rows[[not text.strip() for text in texts]] = 0
    return rows


def main():
    torch.set_num_threads(1)
    random = np.random.default_rng(384)
    f32, f64 = load(), load().double()
    arrays = {"texts": text_rows(f32)}
    worst = float(np.abs(arrays["texts"] - text_rows(f64)).max())
    cases = [(t, b, kind) for t in TOKENS for b in BATCHES for kind in ("none", "scattered")]
    for tokens, batch, kind in [*cases, (7, 3, "masked")]:
        ids = make_ids(random, batch, tokens)
        mask = make_mask(random, batch, tokens, kind)
        emb = run(f32, ids, mask)
        assert np.isfinite(emb).all() and (emb[~mask.any(1)] == 0).all()
        worst = max(worst, float(np.abs(emb - run(f64, ids, mask)).max()))
        name = f"t{tokens}_b{batch}_{kind}"
        arrays |= {f"{name}/ids": ids, f"{name}/mask": mask, f"{name}/emb": emb}
    path = HERE / "goldens" / "goldens.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes; largest |f32 - f64| {worst:.2g}")


if __name__ == "__main__":
    main()
