"""Decoders: a prompt and some steps of greedy decoding, against the logits of Hugging Face's generate."""

import numpy as np
import torch
import transformers as hf

from goldens import Row, generator

VOCAB = 43
SIZES = {"vocab_size": VOCAB, "num_hidden_layers": 2, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}

LLAMA = hf.LlamaConfig(
    **SIZES, hidden_size=36, intermediate_size=53, num_attention_heads=6, num_key_value_heads=2, rms_norm_eps=1e-5,
    max_position_embeddings=512, tie_word_embeddings=True,
    rope_parameters={
        "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
)
MIXTRAL = hf.MixtralConfig(
    **SIZES, hidden_size=20, intermediate_size=29, num_attention_heads=4, num_key_value_heads=2, head_dim=6, rms_norm_eps=1e-5,
    num_local_experts=5, num_experts_per_tok=2, experts_implementation="eager", max_position_embeddings=64, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
)
MAMBA = hf.MambaConfig(**SIZES, hidden_size=24, state_size=5, layer_norm_epsilon=1e-5)


def prompts(name):
    """Tokens and how many of them, on the left, are none."""
    rng = generator(name)

    def prompt(s, padded):
        return rng.integers(0, VOCAB, (len(padded), s)), np.array(padded)

    return {"one_token": prompt(1, [0]), "seven": prompt(7, [0]), "padded": prompt(11, [0, 4, 9])}


def generate(model, ids, mask, steps):
    """What a greedy generate saw in each step, and its logits."""
    y = model.generate(
        torch.from_numpy(ids), attention_mask=torch.from_numpy(mask).long(), max_new_tokens=steps, do_sample=False, pad_token_id=0,
        output_logits=True, return_dict_in_generate=True,
    )
    new = y.sequences[:, ids.shape[1] :].numpy()
    return [ids, *(new[:, i : i + 1] for i in range(steps - 1))], [t.numpy() for t in y.logits]


def with_cache(model, prompt, steps=4):
    ids, padded = prompt
    seen, logits = generate(model, ids, np.arange(ids.shape[1]) >= padded[:, None], steps)
    for i, (x, y) in enumerate(zip(seen, logits)):
        dims = {"P": ids.shape[1] + i - 1} if i else {}
        yield "decode" if i else "prefill", dims, {"ids": x, "start": padded}, {"logits": y}


def recurrent(model, prompt, steps=4):
    ids, padded = prompt
    mask = np.arange(ids.shape[1]) >= padded[:, None]
    seen, logits = generate(model, ids, mask, steps)
    for i, (x, y) in enumerate(zip(seen, logits)):
        yield "decode" if i else "prefill", {}, {"ids": x} if i else {"ids": x, "mask": mask}, {"logits": y}


ROWS = [
    Row("llama", lambda: hf.LlamaForCausalLM(LLAMA), sessions=prompts("llama"), converse=with_cache),
    Row("mixtral", lambda: hf.MixtralForCausalLM(MIXTRAL), sessions=prompts("mixtral"), converse=with_cache),
    Row("mamba", lambda: hf.MambaForCausalLM(MAMBA), sessions=prompts("mamba"), converse=recurrent),
]
