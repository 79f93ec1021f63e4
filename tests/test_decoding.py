"""Decoders: what they say equals what transformers says of each row alone."""

import gc
import json
import os
import subprocess
import sys
import weakref

import pytest
import torch
import transformers

from tests.tiny import tiny_config
from tweetgen import models
from tweetgen.errors import TweetgenError
from tweetgen.generation import gpt2, llama
from tweetgen.generation.causal_lm import CachedDecoder
from tweetgen.generation.linear import (
    MOST_ROTATED,
    ROW_BLOCK,
    FullLinear,
    Int8Linear,
    activate,
    has_int8,
)
from tweetgen.generation.model import load_decoder

CPU = torch.device("cpu")
PROMPTS = [[256], [256, 72, 105], [256, 7, 8, 9, 10, 11, 12], [256, 1]]
needs_int8 = pytest.mark.skipif(not has_int8(), reason="fbgemm multiplies bytes on x86 only")

SMALL = {
    "vocab_size": 257,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 256,
    "eos_token_id": 256,
    "pad_token_id": 256,
}
CONFIGS = {
    "gpt2": tiny_config("gpt2"),
    "gpt2 with another activation": transformers.GPT2Config(
        **tiny_config("gpt2").to_dict() | {"activation_function": "relu"}
    ),
    "gpt2 with its own head": transformers.GPT2Config(
        **tiny_config("gpt2").to_dict() | {"tie_word_embeddings": False}
    ),
    "llama": tiny_config("llama"),
    "llama with a tied head and biases": transformers.LlamaConfig(
        **SMALL, attention_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-3
    ),
    "llama with far positions": transformers.LlamaConfig(
        **SMALL, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}
    ),
    "mistral": transformers.MistralConfig(
        **SMALL | {"max_position_embeddings": 9000}, sliding_window=4096, head_dim=16
    ),
    "mistral with a short window": transformers.MistralConfig(**SMALL, sliding_window=4),
    "qwen2": transformers.Qwen2Config(
        **SMALL, rope_parameters={"rope_type": "default", "rope_theta": 1e6}
    ),
    "qwen3": transformers.Qwen3Config(**SMALL, head_dim=16),
    "gemma3": transformers.Gemma3TextConfig(**SMALL, head_dim=8, sliding_window=4),
    "opt": transformers.OPTConfig(
        **SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32, "do_layer_norm_before": True}
    ),
    "bloom": transformers.BloomConfig(vocab_size=257, hidden_size=32, n_layer=2, n_head=4),
}


def make(name, precision="fp32"):
    """A model with random weights, larger than usual so that it has opinions, and its decoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model, decoder_of(model, precision)


def decoder_of(model, precision="fp32"):
    weights = models.weights_of(model)
    return load_decoder(models.config_json_of(model), weights, CPU, precision)


def logits_of(model, tokens):
    """What transformers says after these tokens, read from the start, alone."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([tokens])).logits[0, -1].float()


def next_tokens(num_rows, step):
    return [(7 * row + 3 * step + 1) % 256 for row in range(num_rows)]


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_decoder_says_what_transformers_says_of_each_row_alone(name):
    model, decoder = make(name)
    rows = [list(prompt) for prompt in PROMPTS]
    prefixes = decoder.prefill(rows)
    for row, prefix in enumerate(prefixes):
        torch.testing.assert_close(prefix.logits, logits_of(model, rows[row]), rtol=0, atol=1e-4)
        decoder.place(row, prefix)
    for step in range(30):
        if step == 3:  # a row ends: the last takes its place, and later a new one joins
            decoder.move(3, 1)
            rows[1] = rows.pop()
        if step == 5:
            decoder.place(3, prefixes[2])
            rows.append(list(PROMPTS[2]))
        if step == 20:  # the two longest end
            decoder.place(0, prefixes[0])
            decoder.move(3, 1)
            rows = [list(PROMPTS[0]), rows[3]]
        tokens = next_tokens(len(rows), step)
        for row, token in zip(rows, tokens, strict=True):
            row.append(token)
        expected = torch.stack([logits_of(model, row) for row in rows])
        torch.testing.assert_close(decoder.step(torch.tensor(tokens)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("gpt2", gpt2.GPT2Decoder),
        ("gpt2 with its own head", gpt2.GPT2Decoder),
        ("gpt2 with another activation", CachedDecoder),
        ("llama", llama.LlamaDecoder),
        ("llama with a tied head and biases", llama.LlamaDecoder),
        ("llama with far positions", CachedDecoder),
        ("mistral", llama.LlamaDecoder),
        ("mistral with a short window", CachedDecoder),
        ("qwen2", llama.LlamaDecoder),
        ("qwen3", llama.LlamaDecoder),
        ("gemma3", CachedDecoder),
    ],
)
def test_load_decoder_takes_the_fastest_that_is_right(name, kind):
    assert isinstance(make(name)[1], kind)


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_a_decoder_that_nobody_holds_is_gone_at_once(name):
    """One that held itself stayed until the garbage collector came, half a gigabyte each time."""
    decoder = make(name)[1]
    known = weakref.ref(decoder)
    gc.disable()
    try:
        del decoder
        assert known() is None
    finally:
        gc.enable()


def test_gpt2_decoder_reads_a_config_that_names_only_what_is_unusual():
    model, _ = make("gpt2")
    content = json.loads(models.config_json_of(model))
    content = {key: content[key] for key in ("model_type", "n_head")}
    decoder = load_decoder(json.dumps(content), models.weights_of(model), CPU, "fp32")
    with torch.inference_mode():
        logits = decoder.prefill([PROMPTS[2]])[0].logits
    torch.testing.assert_close(logits, logits_of(model, PROMPTS[2]), rtol=0, atol=1e-4)


@torch.inference_mode()
def test_decoder_makes_room_for_many_long_rows():
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=257, n_positions=200, n_embd=32, n_layer=2, n_head=4)
    ).eval()
    decoder = decoder_of(model)
    prompts = [[256] + [row % 256] * (row % 5) for row in range(40)]
    for row, prefix in enumerate(decoder.prefill(prompts)):
        decoder.place(row, prefix)
    for step in range(150):
        tokens = next_tokens(40, step)
        for row, token in zip(prompts, tokens, strict=True):
            row.append(token)
        logits = decoder.step(torch.tensor(tokens))
    for row in (0, 17, 39):
        torch.testing.assert_close(logits[row], logits_of(model, prompts[row]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("int8", marks=needs_int8)])
@torch.inference_mode()
def test_decoder_says_the_same_bits_whatever_the_other_rows(name, precision):
    _, decoder = make(name, precision)

    def run(prompts):
        prefixes = decoder.prefill(prompts)
        for row, prefix in enumerate(prefixes):
            decoder.place(row, prefix)
        logits = torch.stack([prefix.logits for prefix in prefixes])
        steps = [decoder.step(torch.full((len(prompts),), 65 + step)) for step in range(20)]
        return torch.stack([logits, *steps], 1)

    prompts = [[256, *range(3 * length)] for length in range(13)]
    together = run(prompts)
    for first, last in [(0, 1), (4, 5), (12, 13), (0, 2), (3, 10), (2, 13)]:
        assert torch.equal(run(prompts[first:last]), together[first:last]), (first, last)


@pytest.mark.parametrize(
    "name, precision, tolerance",
    [
        ("gpt2", "bf16", 0.02),
        ("llama", "bf16", 0.02),
        pytest.param("gpt2", "int8", 0.02, marks=needs_int8),
        pytest.param("llama", "int8", 0.02, marks=needs_int8),
    ],
)
@torch.inference_mode()
def test_lower_precision_hardly_changes_the_probabilities(name, precision, tolerance):
    model, decoder = make(name, precision)
    rows = [list(prompt) for prompt in PROMPTS]
    for row, prefix in enumerate(decoder.prefill(rows)):
        decoder.place(row, prefix)
    for step in range(10):
        tokens = next_tokens(len(rows), step)
        for row, token in zip(rows, tokens, strict=True):
            row.append(token)
        logits = decoder.step(torch.tensor(tokens))
    expected = torch.stack([logits_of(model, row) for row in rows])
    divergence = torch.nn.functional.kl_div(
        logits.log_softmax(1), expected.log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert 0 < divergence < tolerance  # nats


@needs_int8
def test_int8_linear_is_within_two_percent_and_zero_for_zeros():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 64, generator=generator) * torch.rand(40, 1, generator=generator)
    bias = torch.randn(40, generator=generator)
    x = torch.randn(5, 64, generator=generator) * torch.tensor([[1e-6], [1], [1], [1e6], [0]])
    exact = FullLinear(weight, None)(x)
    error = (Int8Linear(weight, None)(x) - exact).norm(dim=1) / exact.norm(dim=1).clamp_min(1e-30)
    assert error.max() < 0.02
    assert torch.equal(Int8Linear(weight, bias)(x)[4], bias)


@needs_int8
def test_int8_linear_does_not_overflow_where_all_products_have_one_sign():
    weight, x = torch.zeros(8, 512), torch.zeros(2, 512)
    weight[:, ::MOST_ROTATED], x[:, ::MOST_ROTATED] = 3.0, 5.0  # rotated, all numbers are alike
    torch.testing.assert_close(Int8Linear(weight, None)(x), torch.full((2, 8), 15.0 * 32))


@needs_int8
def test_int8_linear_does_not_overflow_on_a_processor_without_vnni():
    code = (
        "import torch; from tweetgen.generation.linear import Int8Linear as L, MOST_ROTATED as m;"
        "x = torch.zeros(1, 512); x[:, ::m] = 1; print(round(float(L(x, None)(x))))"
    )
    environment = os.environ | {"FBGEMM_ENABLE_INSTRUCTIONS": "AVX2"}
    line = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == f"{512 // MOST_ROTATED}\n"  # 0 with 8 bits of weight


@needs_int8
def test_int8_linear_sees_what_is_beside_a_number_two_hundred_times_as_large():
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(shape, generator=generator) for shape in ((40, 512), (5, 512)))
    weight[:, 100], x[:, 100] = 0, 200
    exact = FullLinear(weight, None)(x)
    error = (Int8Linear(weight, None)(x) - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.3  # 0.5 without a rotation


@needs_int8
@pytest.mark.parametrize("width", [1, 24, 80, 640])
def test_int8_linear_says_the_same_bits_whatever_the_other_rows(width):
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(shape, generator=generator) for shape in ((40, width), (67, width)))
    linear = Int8Linear(weight, None)
    assert all(torch.equal(linear(x[:rows]), linear(x)[:rows]) for rows in (1, 2, 3, 5, 33, 66))


def test_full_linear_computes_few_rows_as_many():
    generator = torch.Generator().manual_seed(0)
    linear = FullLinear(torch.randn(300, 256, generator=generator), None)
    x = torch.randn(5 * ROW_BLOCK, 256, generator=generator)
    assert all(torch.equal(linear(x[:rows]), linear(x)[:rows]) for rows in range(1, len(x)))


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_activations_of_a_row_are_the_same_bits_whatever_the_other_rows(num_threads):
    x = 3 * torch.randn(1001, 48, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for function in (torch.nn.functional.silu, torch.sigmoid):
            alone = torch.cat([activate(function, row) for row in x.split(1)])
            for num_rows in (1, 5, 682, 683, 701, 850, 1001):
                assert torch.equal(activate(function, x[:num_rows]), alone[:num_rows])
    finally:
        torch.set_num_threads(before)


def test_a_model_without_a_key_value_cache_is_refused():
    config = transformers.MambaConfig(
        vocab_size=257, hidden_size=32, state_size=4, num_hidden_layers=2
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    with pytest.raises(TweetgenError, match="mamba model: it has no key/value cache"):
        decoder_of(model)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_weights_of_16_bits_are_read(name):
    model, _ = make(name)
    half = {key: tensor.bfloat16() for key, tensor in models.weights_of(model).items()}
    rounded = {key: tensor.float() for key, tensor in half.items()}
    for precision in ("fp32", *["int8"] * has_int8()):
        config = models.config_json_of(model)
        one, two = (load_decoder(config, given, CPU, precision) for given in (half, rounded))
        with torch.inference_mode():
            logits, same = (decoder.prefill([PROMPTS[2]])[0].logits for decoder in (one, two))
        assert torch.equal(logits, same)
