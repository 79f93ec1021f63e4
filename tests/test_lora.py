"""Adapters: what they change, what they leave, and what is saved of them."""

import copy

import pytest
import torch

from tests.tiny import tiny_model, tiny_tokens
from tweetgen.dataset import make_batch
from tweetgen.errors import TweetgenError
from tweetgen.models import config_json_of, model_from_weights, weights_of
from tweetgen.settings import TrainingSettings
from tweetgen.training import Training, schedule
from tweetgen.training.learner import Learner
from tweetgen.training.lora import SCALE, adapters_of, add_adapters, final_weights, rounded

CPU = torch.device("cpu")
TEXTS = ["so it goes", "a", "we are made of star stuff", "why?", "42"]
TOKENS = tiny_tokens(TEXTS)
IDS = torch.tensor([[72, 101, 108, 108, 111]])


def adapted(architecture):
    """A model with adapters that do something."""
    model = tiny_model(architecture).eval()
    add_adapters(model, 2, 0, torch.float32)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_up"):
            parameter.data.normal_(0, 0.1, generator=generator)
    return model


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_new_adapters_change_nothing(architecture):
    model = tiny_model(architecture).eval()
    expected = model(IDS).logits
    add_adapters(model, 2, 0, torch.float32)
    torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_merged_weights_give_the_logits_of_the_adapted_model(architecture):
    model, plain = adapted(architecture), tiny_model(architecture).eval()
    merged = final_weights(model, torch.float32)
    assert merged.keys() == weights_of(plain).keys()
    again = model_from_weights(config_json_of(plain), merged).eval()
    torch.testing.assert_close(again(IDS).logits, model(IDS).logits, rtol=1e-4, atol=1e-5)
    assert (again(IDS).logits - plain(IDS).logits).abs().max() > 0.01


def test_merging_leaves_the_model_as_it_is():
    model = adapted("llama")
    before = copy.deepcopy(model.state_dict())
    final_weights(model, torch.float32)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_gradients_are_those_of_the_product_added_to_the_weight(architecture):
    batch = make_batch(TOKENS, torch.arange(4))
    model, whole = adapted(architecture), tiny_model(architecture)
    whole.load_state_dict(final_weights(model, torch.float32), strict=False)
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
    assert (
        training.position.losses[-1] < training.position.losses[0] - 0.02
    )  # random layers can do little
    after = weights_of(training.model)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all("lora" in name for name in training.state()["weights"])
    final = final_weights(training.model, torch.float32)
    changed = {name for name, value in final.items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.endswith("weight") and ".c_" in name}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_adapters_learn_in_bfloat16_too(architecture):
    settings = TrainingSettings(epochs=1, batch_size=4, lora_rank=2, learning_rate=0.01)
    losses = {}
    for precision in (torch.float32, torch.bfloat16):
        model = tiny_model(architecture)
        training = Training(model, TOKENS, settings, device=CPU, precision=precision)
        list(training.run())
        final = final_weights(model, torch.float16)
        assert {weight.dtype for weight in final.values()} == {torch.float16}
        losses[precision] = training.position.losses
    assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], rel=0.02)


def test_adapters_beside_random_weights_are_refused():
    settings = TrainingSettings(lora_rank=2, from_scratch=True)
    with pytest.raises(TweetgenError, match="leave it out with --from_scratch"):
        Training(tiny_model(), TOKENS, settings, device=CPU, precision=torch.float32)


def test_a_model_without_linear_layers_is_refused():
    model = tiny_model()
    model.transformer.h = torch.nn.ModuleList()
    with pytest.raises(TweetgenError, match="no linear layers"):
        add_adapters(model, 2, 0, torch.float32)


def test_frozen_weights_are_kept_in_the_format_they_are_multiplied_in():
    model = tiny_model("llama")
    settings = TrainingSettings(lora_rank=2)
    training = Training(model, TOKENS, settings, device=CPU, precision=torch.bfloat16)
    matrices = {n: p.dtype for n, p in model.named_parameters() if p.ndim == 2 and "lora" not in n}
    assert set(matrices.values()) == {torch.bfloat16}
    assert {p.dtype for p in training.parameters.values()} == {torch.float32}
    norm = model.model.norm.weight
    assert norm.dtype == torch.float32


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_rounding_is_that_of_the_final_weights_and_is_undone(architecture):
    model = adapted(architecture)
    expected, before = final_weights(model, torch.float16), copy.deepcopy(model.state_dict())
    with rounded(model, torch.float16):
        logits = model(IDS).logits
    again = model_from_weights(config_json_of(tiny_model(architecture)), expected).eval()
    torch.testing.assert_close(logits, again(IDS).logits, rtol=1e-4, atol=1e-5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) and value.dtype == before[name].dtype, name


def test_adapters_are_named_after_their_layers():
    adapters = adapters_of(adapted("llama"))
    assert adapters["model.layers.1.mlp.up_proj.lora_down"].shape == (2, 32)
    assert adapters["model.layers.1.mlp.up_proj.lora_up"].shape == (48, 2)
    assert len(adapters) == 2 * 2 * 7 and adapters_of(tiny_model()) == {}


@pytest.mark.parametrize(
    ("num_parameters", "rank"), [(7_426_048, 0), (124_439_808, 16), (134_515_008, 16)]
)
def test_large_models_have_adapters_by_default(num_parameters, rank):
    assert schedule.default_lora_rank(num_parameters) == rank
