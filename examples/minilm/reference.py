"""all-MiniLM-L6-v2 in PyTorch, as sentence-transformers runs it: transformers' BertModel, mean pooling, unit length.

make_goldens.py and the benchmark import it; nothing that users of the example run does. The sizes are those of the
checkpoint's config.json, and every tensor of the checkpoint must find its place.
"""

import pathlib

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertModel

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "minilm"
WEIGHTS = CACHE / "model.safetensors"
MAX_TOKENS = 256  # where sentence-transformers cuts a text for this model


class MiniLM(nn.Module):
    def __init__(self, attention="sdpa"):
        super().__init__()
        config = BertConfig(
            vocab_size=30522,
            hidden_size=384,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=1536,
            hidden_act="gelu",
            max_position_embeddings=512,
            layer_norm_eps=1e-12,
            attn_implementation=attention,
        )
        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, ids, mask):
        x = self.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        m = mask.unsqueeze(-1).to(x.dtype)
        pooled = (x * m).sum(1) / m.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(pooled, p=2, dim=1)


def load(attention="sdpa"):
    """The model with its weights, f32, for inference. `attention`: sdpa as transformers has it by default, or eager."""
    model = MiniLM(attention)
    weights = {k: v for k, v in load_file(WEIGHTS).items() if not k.startswith("pooler.") and k != "embeddings.position_ids"}
    model.bert.load_state_dict(weights, strict=True)
    return model.eval()
