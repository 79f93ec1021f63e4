"""What is said before a training begins."""

import pytest
import torch
import transformers

from tests.tiny import tiny_model
from tweetgen.training.learner import freeze_layers
from tweetgen.training.starting import BYTES_PER_TRAINED, memory_to_train


# Peaks of tests/benchmarks/results: GPT-2 with 16 tweets of 25 tokens, SmolLM2 with 16 of 27.
@pytest.mark.parametrize(
    "config, tokens, gigabytes",
    [
        (transformers.GPT2Config(), 400, 3.8),
        (
            transformers.LlamaConfig(
                vocab_size=49152,
                hidden_size=576,
                intermediate_size=1536,
                num_hidden_layers=30,
                num_attention_heads=9,
                num_key_value_heads=3,
                tie_word_embeddings=True,
            ),
            430,
            4.8,
        ),
    ],
    ids=["GPT-2", "SmolLM2-135M"],
)
def test_memory_to_train_is_about_what_was_measured(config, tokens, gigabytes):
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert memory_to_train(model, tokens) == pytest.approx(gigabytes * 1e9, rel=0.1)


def test_frozen_layers_take_no_memory_for_training():
    model, frozen = tiny_model(), tiny_model()
    freeze_layers(frozen, 1)
    fixed = sum(p.numel() for p in frozen.parameters() if not p.requires_grad)
    saved = memory_to_train(model, 10) - memory_to_train(frozen, 10)
    assert saved == BYTES_PER_TRAINED * fixed > 0
