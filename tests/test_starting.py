"""What is said before a training begins."""

import pytest
import torch
import transformers

from tests.tiny import tiny_model
from tweetgen.finetune.start import memory_to_train
from tweetgen.training.lora import add_adapters

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
        add_adapters(model, rank, 0, torch.float32)
    assert memory_to_train(model, tokens) == pytest.approx(gigabytes * 1e9, rel=0.2)


def test_what_is_not_trained_takes_its_own_memory_alone():
    model, adapted = tiny_model(), tiny_model()
    add_adapters(adapted, 1, 0, torch.float32)
    size, trained = model.num_parameters(), adapted.num_parameters(only_trainable=True)
    saved = memory_to_train(model, 10) - memory_to_train(adapted, 10)
    assert saved == 20 * (size - trained) - 4 * trained > 0


def test_frozen_weights_of_16_bits_take_half_the_memory():
    with torch.device("meta"):
        models = [transformers.AutoModelForCausalLM.from_config(SMOLLM2) for _ in range(2)]
    for model, dtype in zip(models, (torch.float32, torch.bfloat16), strict=True):
        add_adapters(model, 16, 0, dtype)
    layers = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    assert memory_to_train(models[0], 10) - memory_to_train(models[1], 10) == 2 * layers
