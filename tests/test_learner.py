"""Packed rows, the chunked loss and their gradients, against the plain way of computing them."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, MistralConfig

from tests.families import family_model
from tests.tiny import VOCABULARY_SIZE, tiny_model, tiny_tokens
from tweetgen.dataset import make_batch
from tweetgen.training import loss as loss_module
from tweetgen.training import packing
from tweetgen.training.learner import Learner, set_dropout

CPU = torch.device("cpu")
PROJECT = Path(__file__).parent.parent
TEXTS = ["so it goes", "a", "stars are made of us, mostly", "why?", "42"]


def plain_loss(model, tokens, tweets):
    """The loss of each tweet by itself, by transformers' own code; summed, with gradients."""
    model.eval()
    total = 0.0
    for tweet in tweets:
        row = tokens.ids[tokens.offsets[tweet] : tokens.offsets[tweet + 1]].long()
        inputs = torch.cat([torch.tensor([tokens.eos_token_id]), row[:-1]])
        logits = model(input_ids=inputs[None]).logits[0]
        total = total + nn.functional.cross_entropy(logits, row, reduction="sum")
    return total


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def mistral_model():
    """Attention that looks back 4 tokens only, fewer than the tweets have."""
    config = MistralConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


MODELS = {
    "gpt2": lambda: tiny_model("gpt2"),
    "llama": lambda: tiny_model("llama"),
    "mistral": mistral_model,
}


@pytest.mark.parametrize("name", MODELS)
def test_packed_loss_and_gradients_are_those_of_each_tweet_alone(name):
    tokens, tweets = tiny_tokens(TEXTS), torch.tensor([2, 0, 4, 1, 3])
    plain, packed = MODELS[name](), MODELS[name]()
    expected = plain_loss(plain, tokens, tweets)
    (expected / 100).backward()
    learner = Learner(packed, CPU, torch.float32)
    assert learner.is_packed
    loss = learner.add_gradients(make_batch(tokens, tweets), 1 / 100)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(
            dict(packed.named_parameters())[name].grad, gradient, rtol=1e-4, atol=1e-6
        )


def test_linear_layers_compute_no_padding():
    model, tokens = tiny_model("gpt2"), tiny_tokens(TEXTS)
    learner, batch = (
        Learner(model, CPU, torch.float32),
        make_batch(tiny_tokens(TEXTS), torch.arange(5)),
    )
    seen = []
    model.transformer.h[0].mlp.register_forward_hook(lambda *args: seen.append(args[2].shape))
    learner.evaluate(batch)
    assert seen == [(1, len(tokens.ids), 32)]


@pytest.mark.parametrize("chunk", [1, 3 * VOCABULARY_SIZE, 1 << 25])
def test_chunks_of_logits_do_not_change_loss_or_gradients(chunk, monkeypatch):
    torch.manual_seed(0)
    head, hidden = nn.Linear(8, VOCABULARY_SIZE), torch.randn(10, 8, requires_grad=True)
    targets = torch.randint(VOCABULARY_SIZE, (10,))
    expected = nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
    (expected * 0.25).backward()
    wanted = [hidden.grad, head.weight.grad, head.bias.grad]
    head.zero_grad()
    monkeypatch.setattr(loss_module, "CHUNK_ELEMENTS", chunk)
    monkeypatch.setattr(loss_module, "CACHE_ELEMENTS", 2 * VOCABULARY_SIZE)
    loss, slope = loss_module.add_loss_gradients(hidden.detach(), head, targets, 0.25)
    torch.testing.assert_close(loss, expected.detach())
    for found, gradient in zip([slope, head.weight.grad, head.bias.grad], wanted, strict=True):
        torch.testing.assert_close(found, gradient)
    losses = loss_module.token_losses(hidden, head, targets)
    torch.testing.assert_close(losses.sum(), expected.detach())


LOSSES_OF_CHUNKS = """
from pathlib import Path
import torch
from tweetgen.device import keep_freed_memory
from tweetgen.training.loss import token_losses

def peak():  # kB; ru_maxrss would begin with that of pytest
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

keep_freed_memory()
torch.set_num_threads(1)
head, hidden = torch.nn.Linear(8, 40_000, bias=False).bfloat16(), torch.randn(4_000, 8)
targets = torch.randint(40_000, (4_000,))
with torch.no_grad():
    token_losses(hidden[:400], head, targets[:400])
    before = peak()
    token_losses(hidden, head, targets)
print(peak() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_twenty_chunks_of_logits_take_the_memory_of_a_few():
    """What each chunk left behind once kept the next one out of its place: 0.6 GB more here.

    How many chunks of 33 MB find no hole depends on addresses: one to five in 24 runs, all before.
    """
    line = [sys.executable, "-c", LOSSES_OF_CHUNKS]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000  # kB


def test_losses_in_bfloat16_are_those_of_float32_but_for_rounding():
    tweets = tiny_tokens(TEXTS)
    learner, batch = Learner(tiny_model(), CPU, torch.bfloat16), make_batch(tweets, torch.arange(5))
    low, exact = learner.evaluate(batch), learner.evaluate(batch, torch.float32)
    assert not torch.equal(low, exact)
    torch.testing.assert_close(low, exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("family", ["gemma3", "granite"])
def test_models_whose_packed_logits_would_differ_are_trained_on_padded_rows(family):
    """One scales its embeddings, the other its logits: neither is in a packed row."""
    tweets, chosen = tiny_tokens(TEXTS), torch.arange(5)
    model, fresh = family_model(family), family_model(family)
    learner, batch = Learner(model, CPU, torch.float32), make_batch(tweets, chosen)
    assert not learner.is_packed
    loss = learner.add_gradients(batch, 1.0)
    expected = plain_loss(fresh, tweets, chosen)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert learner.evaluate(batch).sum().item() == pytest.approx(loss.item())
    torch.testing.assert_close(gradients(model), gradients(fresh), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("window", [None, 3])
def test_plain_attention_is_that_of_torch(window):
    torch.manual_seed(0)
    query, keys = torch.randn(2, 4, 6, 8), [torch.randn(2, 2, 6, 8) for _ in range(2)]
    distance = torch.arange(6)[:, None] - torch.arange(6)
    mask = (distance >= 0) & (distance < (window or 6))
    found, _ = packing.plain_attention(None, query, *keys, mask if window else None, scaling=0.3)
    expected = nn.functional.scaled_dot_product_attention(
        query, *keys, attn_mask=mask, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_bfloat16_gradients_are_close_to_float32():
    tokens, tweets = tiny_tokens(TEXTS), torch.arange(5)
    losses, slopes = [], []
    for precision in (torch.float32, torch.bfloat16):
        model = tiny_model("llama")
        learner = Learner(model, CPU, precision)
        losses.append(learner.add_gradients(make_batch(tokens, tweets), 0.01).item())
        slopes.append(torch.cat([g.flatten() for g in gradients(model).values()]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    assert slopes[1].dtype == torch.float32
    assert torch.cosine_similarity(*slopes, dim=0) > 0.99


def test_model_in_training_can_still_be_sampled_from():
    model, fresh = tiny_model("gpt2"), tiny_model("gpt2")
    Learner(model, CPU, torch.float32)
    rows, mask = (
        torch.tensor([[0, 0, 65, 66], [67, 68, 69, 70]]),
        torch.tensor([[0, 0, 1, 1], [1] * 4]),
    )
    found = model.eval()(input_ids=rows, attention_mask=mask, use_cache=True).logits
    expected = fresh(input_ids=rows, attention_mask=mask).logits
    torch.testing.assert_close(found[mask == 1], expected[mask == 1])


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_dropout_is_on_where_it_is_asked_for(architecture):
    batch = make_batch(tiny_tokens(TEXTS), torch.arange(5))
    model = tiny_model(architecture)
    learner = Learner(model, CPU, torch.float32, dropout=0.5)
    assert learner.add_gradients(batch, 1.0) != learner.add_gradients(batch, 1.0)
    assert learner.evaluate(batch).sum() == learner.evaluate(batch).sum()
    set_dropout(model, 0.0)
    assert learner.add_gradients(batch, 1.0) == learner.add_gradients(batch, 1.0)
