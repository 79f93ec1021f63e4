"""Tiny models of nine families: each learns where a tweet ends, and resumes to the same bits."""

import io

import pytest
import torch

from tests.families import FAMILIES, family_model
from tests.tiny import END_ID, tiny_tokens
from tweetgen.models import config_json_of, model_from_weights
from tweetgen.settings import TrainingSettings
from tweetgen.training import Training
from tweetgen.training.lora import final_weights

TWEETS = tiny_tokens(["ab", "abc", "abcd"], num_validation=1)


def start(family, **changes):
    settings = {"batch_size": 2, "patience": 0, "learning_rate": 0.02, "warmup_steps": 2} | changes
    model, cpu = family_model(family), torch.device("cpu")
    settings = TrainingSettings(**settings)
    return Training(model, TWEETS, settings, device=cpu, precision=torch.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_end_of_a_text_is_learned(family):
    training = start(family, epochs=60)
    list(training.run())
    weights = final_weights(training.model, torch.float32)
    model = model_from_weights(config_json_of(family_model(family)), weights).eval()
    text = TWEETS.ids[TWEETS.offsets[1] : TWEETS.offsets[2] - 1].tolist()
    logits = model(torch.tensor([[END_ID, *text]])).logits[0, -1]
    assert logits.softmax(-1)[END_ID] > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_learn_and_resume_to_the_same_bits(family):
    whole = start(family, epochs=6, lora_rank=4)
    list(whole.run())
    assert whole.position.losses[-1] < whole.position.losses[0]
    stopped = start(family, epochs=6, lora_rank=4)
    list(stopped.run(lambda: stopped.position.step == 3))
    file = io.BytesIO()
    torch.save(stopped.state(), file)
    file.seek(0)
    resumed = start(family, epochs=6, lora_rank=4)
    resumed.restore(torch.load(file, weights_only=True))
    list(resumed.run())
    for name, weight in final_weights(whole.model, torch.float32).items():
        assert torch.equal(final_weights(resumed.model, torch.float32)[name], weight), name
