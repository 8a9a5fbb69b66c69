"""Text encoders, against Hugging Face's classes."""

import numpy as np
import torch
import transformers as hf

from goldens import Row, generator

VOCAB, B, S = 101, 3, 19  # the programs' bounds


def token_cases(name, types=0):
    """ids and mask (and types) at the sizes and masks that break things."""
    rng = generator(name)

    def case(b, s, mask=None):
        x = {"ids": rng.integers(0, VOCAB, (b, s)), "mask": np.ones((b, s), bool)}
        if types:
            x["types"] = rng.integers(0, types, (b, s)).astype(np.int32)
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

    return {
        "one_token": case(1, 1),
        "seven": case(1, 7),
        "batch_of_primes": case(3, 13),
        "bound": case(B, S),
        "padded": case(3, 13, padded),
        "scattered": case(2, 17, scattered),
        "row_without_keys": case(2, 5, one_row_without),
    }


def encoder(cls, config, **more):
    return lambda: cls(config, **more)


def pick(cases, *names, prefix=""):
    return {prefix + n: cases[n] for n in names}


# ---- BERT and its like ----

BERT = hf.BertConfig(
    vocab_size=VOCAB, hidden_size=30, num_hidden_layers=2, num_attention_heads=5, intermediate_size=37,
    max_position_embeddings=23, type_vocab_size=3, attn_implementation="sdpa",
)


def mean_pooled(hidden, mask):
    """As sentence-transformers pools and normalizes, with its guard against division by zero."""
    m = mask[..., None].to(hidden.dtype)
    return torch.nn.functional.normalize((hidden * m).sum(1) / m.sum(1).clamp(min=1e-9), dim=1)


def run_bert(model, entry, x):
    y = model(input_ids=x["ids"], attention_mask=x.get("mask"), token_type_ids=x.get("types"))
    if entry == "sentence":
        return {"vector": mean_pooled(y.last_hidden_state, x["mask"])}
    if entry == "unmasked":
        return {"hidden": y.last_hidden_state}
    return {"hidden": y.last_hidden_state, "pooled": y.pooler_output}


def bert_cases():
    plain, typed = token_cases("bert"), token_cases("bert typed", types=3)
    unmasked = token_cases("bert unmasked")["batch_of_primes"]
    del unmasked["mask"]
    return {
        **{f"encode.{k}": v for k, v in plain.items()},
        **pick(typed, "one_token", "bound", "scattered", prefix="typed."),
        "unmasked.batch_of_primes": unmasked,
        **pick(plain, "one_token", "padded", "row_without_keys", prefix="sentence."),
    }


BERT_CLASSIFIER = hf.BertConfig(
    vocab_size=VOCAB, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=29,
    max_position_embeddings=23, num_labels=5, attn_implementation="sdpa",
)


def run_classifier(model, entry, x):
    return {"logits": model(input_ids=x["ids"], attention_mask=x["mask"]).logits}


DISTILBERT = hf.DistilBertConfig(
    vocab_size=VOCAB, dim=28, n_layers=2, n_heads=7, hidden_dim=37, max_position_embeddings=23, num_labels=5,
    attn_implementation="sdpa",
)


def distilbert_cases():
    cases = token_cases("distilbert")
    return {**{f"encode.{k}": v for k, v in cases.items()}, **pick(cases, "one_token", "padded", prefix="classify.")}


def run_distilbert(model, entry, x):
    if entry == "classify":
        return run_classifier(model, entry, x)
    return {"hidden": model.distilbert(input_ids=x["ids"], attention_mask=x["mask"]).last_hidden_state}


# ---- RoBERTa and MPNet: positions begin at 2 and do not count padding, so only real tokens are compared ----

ROBERTA = hf.RobertaConfig(
    vocab_size=VOCAB, hidden_size=26, num_hidden_layers=2, num_attention_heads=13, intermediate_size=31,
    max_position_embeddings=21, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, attn_implementation="sdpa",
)


def right_padded_cases(name):
    cases = pick(token_cases(name), "one_token", "seven", "bound", "padded")
    for x in cases.values():
        x["ids"] = np.where(x["mask"], x["ids"] % (VOCAB - 2) + 2, 1)
    return cases


def run_roberta(model, entry, x):
    y = model(input_ids=x["ids"], attention_mask=x["mask"]).last_hidden_state
    return {"hidden": y * x["mask"][..., None]}


MPNET = hf.MPNetConfig(
    vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=29,
    max_position_embeddings=21, layer_norm_eps=1e-5,
)


# ---- ALBERT ----

ALBERT = hf.AlbertConfig(
    vocab_size=VOCAB, embedding_size=11, hidden_size=28, num_hidden_layers=3, num_attention_heads=7, intermediate_size=41,
    max_position_embeddings=23, type_vocab_size=2, hidden_act="gelu_new", attn_implementation="sdpa",
)


def run_albert(model, entry, x):
    y = model(input_ids=x["ids"], attention_mask=x["mask"])
    return {"hidden": y.last_hidden_state, "pooled": y.pooler_output}


# ---- ModernBERT: layers 1 and 2 see three tokens to either side ----

MODERNBERT = hf.ModernBertConfig(
    vocab_size=VOCAB, hidden_size=40, num_hidden_layers=4, num_attention_heads=5, intermediate_size=23,
    max_position_embeddings=32, local_attention=6, global_attn_every_n_layers=3, pad_token_id=0, bos_token_id=1,
    eos_token_id=2, cls_token_id=1, sep_token_id=2, attn_implementation="sdpa",
)


def run_modernbert(model, entry, x):
    return {"hidden": model(input_ids=x["ids"], attention_mask=x["mask"]).last_hidden_state}


ROWS = [
    Row("bert", encoder(hf.BertModel, BERT), bert_cases(), run_bert),
    Row("bert_classifier", encoder(hf.BertForSequenceClassification, BERT_CLASSIFIER),
        pick(token_cases("bert_classifier"), "one_token", "bound", "padded"), run_classifier),
    Row("distilbert", encoder(hf.DistilBertForSequenceClassification, DISTILBERT), distilbert_cases(), run_distilbert),
    Row("roberta", encoder(hf.RobertaModel, ROBERTA, add_pooling_layer=False), right_padded_cases("roberta"), run_roberta),
    Row("mpnet", encoder(hf.MPNetModel, MPNET, add_pooling_layer=False), right_padded_cases("mpnet"), run_roberta),
    Row("albert", encoder(hf.AlbertModel, ALBERT), token_cases("albert"), run_albert),
    Row("modernbert", encoder(hf.ModernBertModel, MODERNBERT), token_cases("modernbert"), run_modernbert),
]
