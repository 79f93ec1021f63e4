"""Adapters: what they change, what they leave, and what is saved of them."""

import copy
from types import SimpleNamespace

import pytest
import torch

from tests.tiny import tiny_model, tiny_tokens
from tweetgen.dataset import make_batch
from tweetgen.errors import TweetgenError
from tweetgen.models import config_json_of, model_from_weights, weights_of
from tweetgen.settings import TrainingSettings
from tweetgen.training import Training, schedule
from tweetgen.training.learner import Learner
from tweetgen.training.lora import SCALE, add_lora, merged_weights

CPU = torch.device("cpu")
TEXTS = ["so it goes", "a", "we are made of star stuff", "why?", "42"]
TOKENS = tiny_tokens(TEXTS)
IDS = torch.tensor([[72, 101, 108, 108, 111]])


def adapted(architecture):
    """A model with adapters that do something."""
    model = tiny_model(architecture).eval()
    add_lora(model, 2, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_up"):
            parameter.data.normal_(0, 0.1, generator=generator)
    return model


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_new_adapters_change_nothing(architecture):
    model = tiny_model(architecture).eval()
    expected = model(IDS).logits
    add_lora(model, 2, seed=0)
    torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_merged_weights_give_the_logits_of_the_adapted_model(architecture):
    model, plain = adapted(architecture), tiny_model(architecture).eval()
    merged = merged_weights(model)
    assert merged.keys() == weights_of(plain).keys()
    again = model_from_weights(config_json_of(plain), merged).eval()
    torch.testing.assert_close(again(IDS).logits, model(IDS).logits, rtol=1e-4, atol=1e-5)
    assert (again(IDS).logits - plain(IDS).logits).abs().max() > 0.01


def test_merging_leaves_the_model_as_it_is():
    model = adapted("llama")
    before = copy.deepcopy(model.state_dict())
    merged_weights(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_gradients_are_those_of_the_product_added_to_the_weight(architecture):
    batch = make_batch(TOKENS, torch.arange(4))
    model, whole = adapted(architecture), tiny_model(architecture)
    whole.load_state_dict(merged_weights(model), strict=False)
    for one in (model, whole):
        Learner(one, CPU, torch.float32).add_gradients(batch, 1.0)
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        if not name.endswith("lora_up"):
            assert parameter.grad is None or name.endswith("lora_down")
            continue
        path = name.removesuffix(".lora_up")
        full = dict(whole.named_parameters())[f"{path}.weight"].grad
        full = full.T if architecture == "gpt2" else full
        down, up = modules[path].lora_down, modules[path].lora_up
        close = {"rtol": 1e-3, "atol": 1e-5}
        torch.testing.assert_close(up.grad, SCALE * full @ down.T, **close)
        torch.testing.assert_close(down.grad, SCALE * up.T @ full, **close)


def test_training_changes_only_the_adapters_and_learns():
    settings = TrainingSettings(epochs=40, batch_size=4, learning_rate=0.05, lora_rank=2)
    model = tiny_model()
    before = {name: value.clone() for name, value in weights_of(model).items()}
    training = Training(model, TOKENS, settings, device=CPU, precision=torch.float32)
    list(training.run())
    assert training.losses[-1] < training.losses[0] - 0.02  # random layers can do little
    after = weights_of(training.model)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all("lora" in name for name in training.state()["weights"])
    changed = {n for n, value in training.finish().items() if not torch.equal(value, before[n])}
    assert changed == {name for name in before if name.endswith("weight") and ".c_" in name}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_adapters_learn_in_bfloat16_too(architecture):
    settings = TrainingSettings(epochs=1, batch_size=4, lora_rank=2, learning_rate=0.01)
    losses = {}
    for precision in (torch.float32, torch.bfloat16):
        model = tiny_model(architecture)
        training = Training(model, TOKENS, settings, device=CPU, precision=precision)
        list(training.run())
        assert {weight.dtype for weight in training.finish().values()} == {torch.float32}
        losses[precision] = training.losses
    assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], rel=0.02)


def test_adapters_beside_random_weights_are_refused():
    settings = TrainingSettings(lora_rank=2, from_scratch=True)
    with pytest.raises(TweetgenError, match="leave it out with --from_scratch"):
        Training(tiny_model(), TOKENS, settings, device=CPU, precision=torch.float32)


def test_a_model_without_linear_layers_is_refused():
    with pytest.raises(TweetgenError, match="no linear layers"):
        add_lora(SimpleNamespace(base_model=torch.nn.Embedding(2, 2)), 2, seed=0)


@pytest.mark.parametrize(
    ("num_parameters", "rank"), [(7_426_048, 0), (124_439_808, 16), (134_515_008, 16)]
)
def test_large_models_have_adapters_by_default(num_parameters, rank):
    assert schedule.default_lora_rank(num_parameters) == rank
