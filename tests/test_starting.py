"""What is said before a training begins."""

import pytest
import torch
import transformers

from tests.tiny import tiny_model
from tweetgen.finetune.start import BYTES_PER_PARAMETER, BYTES_PER_TRAINED, memory_to_train
from tweetgen.training.lora import add_lora

SMOLLM2 = transformers.LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    tie_word_embeddings=True,
)


# Measured with batches of 16 tweets: GPT-2's peak is in training.json of tests/benchmarks/results,
# that of SmolLM2's adapters in models.json.
@pytest.mark.parametrize(
    "config, tokens, rank, gigabytes",
    [(transformers.GPT2Config(), 400, 0, 3.8), (SMOLLM2, 430, 0, 4.8), (SMOLLM2, 430, 16, 3.1)],
    ids=["GPT-2", "SmolLM2-135M", "SmolLM2-135M, LoRA"],
)
def test_memory_to_train_is_about_what_was_measured(config, tokens, rank, gigabytes):
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    if rank:
        add_lora(model, rank, seed=0)
    assert memory_to_train(model, tokens) == pytest.approx(gigabytes * 1e9, rel=0.2)


def test_what_is_not_trained_takes_its_own_memory_alone():
    model, adapted = tiny_model(), tiny_model()
    add_lora(adapted, 1, seed=0)
    size, trained = model.num_parameters(), adapted.num_parameters(only_trainable=True)
    saved = memory_to_train(model, 10) - memory_to_train(adapted, 10)
    assert saved == BYTES_PER_TRAINED * (size - trained) - BYTES_PER_PARAMETER * trained > 0
