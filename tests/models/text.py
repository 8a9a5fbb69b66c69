"""Text encoders, against Hugging Face's classes."""

import numpy as np
import torch
import transformers as hf

from goldens import Row, generator

VOCAB, B, S = 101, 3, 19  # the programs' bounds


def token_cases(name, types=0, prefix=""):
    """ids and mask (and types) at the sizes and masks that break things."""
    rng = generator(name + prefix)

    def case(b, s, mask=None):
        x = {"ids": rng.integers(0, VOCAB, (b, s)), "mask": np.ones((b, s), bool)}
        if types:
            x["types"] = rng.integers(0, types, (b, s))
        if mask is not None:
            x["mask"] = mask(x["mask"])
        return x

    def padded(m):
        m[0, 5:] = False
        m[1, 11:] = False
        return m

    def scattered(m):
        m = rng.random(m.shape) < 0.6
        m[:, 3] = True
        return m

    def one_row_without(m):
        m[1] = False
        return m

    cases = {
        "one_token": case(1, 1),
        "seven": case(1, 7),
        "batch_of_primes": case(3, 13),
        "bound": case(B, S),
        "padded": case(3, 13, padded),
        "scattered": case(2, 17, scattered),
        "row_without_keys": case(2, 5, one_row_without),
    }
    return {prefix + k: v for k, v in cases.items()}


def encoder(cls, config, **more):
    return lambda: cls(config, **more)


def run_bert(model, entry, x):
    y = model(input_ids=x["ids"], attention_mask=x["mask"])
    return {"hidden": y.last_hidden_state}


BERT = hf.BertConfig(
    vocab_size=VOCAB, hidden_size=30, num_hidden_layers=2, num_attention_heads=5, intermediate_size=37,
    max_position_embeddings=23, type_vocab_size=3, attn_implementation="sdpa",
)

ROWS = [
    Row("bert", encoder(hf.BertModel, BERT), token_cases("bert"), run_bert),
]
