"""Tiny random models of the families of transformers that people fine-tune: name -> config."""

import copy
from pathlib import Path

import torch
import transformers

from tests.tiny import CONTEXT_LENGTH, END_ID, VOCABULARY_SIZE, write_folder

COMMON = {
    "vocab_size": VOCABULARY_SIZE,
    "max_position_embeddings": CONTEXT_LENGTH,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": END_ID,
    "eos_token_id": END_ID,
    "pad_token_id": END_ID,
}
GROUPED = COMMON | {"num_key_value_heads": 2, "tie_word_embeddings": True}

FAMILIES: dict[str, transformers.PretrainedConfig] = {
    "llama": transformers.LlamaConfig(**GROUPED),
    "mistral": transformers.MistralConfig(
        **GROUPED | {"tie_word_embeddings": False, "sliding_window": None}
    ),
    "qwen2": transformers.Qwen2Config(**GROUPED),
    "qwen3": transformers.Qwen3Config(**GROUPED, head_dim=16),  # not hidden_size / heads
    "gemma3": transformers.Gemma3TextConfig(
        **GROUPED,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "smollm3": transformers.SmolLM3Config(**GROUPED, no_rope_layer_interval=2),
    "granite": transformers.GraniteConfig(
        **GROUPED, embedding_multiplier=2.0, residual_multiplier=0.5, logits_scaling=2.0
    ),
    "gpt2": transformers.GPT2Config(
        vocab_size=VOCABULARY_SIZE,
        n_positions=CONTEXT_LENGTH,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=END_ID,
        eos_token_id=END_ID,
        pad_token_id=END_ID,
    ),
    "gpt_neox": transformers.GPTNeoXConfig(**COMMON),
}


def family_model(
    family: str, seed: int = 0, vocabulary_size: int = VOCABULARY_SIZE
) -> transformers.PreTrainedModel:
    """A tiny model of a family with random weights, in evaluation mode, float32."""
    config = copy.deepcopy(FAMILIES[family])
    config.vocab_size = vocabulary_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():  # biases and norms too: a lost one must show
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def family_folder(path: Path | str, family: str, seed: int = 0) -> Path:
    """Write such a model, with the byte tokenizer, as a folder that the scripts' --model takes."""
    return write_folder(path, family_model(family, seed))
