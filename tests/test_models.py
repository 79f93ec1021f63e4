"""Models and tokenizers by name: folders, hub names, model files of ours; and from weights."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.examples import model_content
from tests.families import FAMILIES, family_folder, family_model
from tests.hub_server import COMMIT
from tests.tiny import CONTEXT_LENGTH, END, END_ID, tiny_model, tiny_model_folder
from tweetgen import models, storage
from tweetgen.errors import TweetgenError
from tweetgen.tokenizer import encoder

IDS = torch.tensor([[END_ID, 65, 66, 67]])
ARCHITECTURES = ["gpt2", "llama"]


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def edit_json(path, **changes):
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folder_is_loaded_in_float32_with_its_tokenizer(architecture, tmp_path):
    folder = tiny_model_folder(tmp_path / "model", architecture)
    AutoModelForCausalLM.from_pretrained(folder).half().save_pretrained(folder)  # as many are
    found = models.load_pretrained(str(folder))
    assert found.model.dtype == torch.float32
    torch.testing.assert_close(
        logits(found.model), logits(tiny_model(architecture)), rtol=0.01, atol=1e-3
    )
    assert found.eos_token_id == END_ID
    tokenizer = models.load_tokenizer(str(folder))
    assert tokenizer == (found.tokenizer_json, END_ID, CONTEXT_LENGTH)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_hold_tied_tensors_once_and_rebuild_the_model(architecture):
    model = tiny_model(architecture)
    weights = models.weights_of(model)
    assert ("lm_head.weight" in weights) == (architecture == "llama")  # the tiny GPT-2 is tied
    again = models.model_from_weights(models.config_json_of(model), weights)
    assert torch.equal(logits(again), logits(model))
    assert models.weights_of(again).keys() == weights.keys()


def test_weights_that_miss_a_tensor_are_refused():
    model = tiny_model()
    weights = models.weights_of(model)
    del weights["transformer.h.1.ln_1.bias"]
    with pytest.raises(TweetgenError, match=r"transformer\.h\.1\.ln_1\.bias"):
        models.model_from_weights(models.config_json_of(model), weights)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_loaded_saved_and_loaded_again(family, tmp_path):
    loaded = models.load_pretrained(str(family_folder(tmp_path, family)))
    assert torch.equal(logits(loaded.model), logits(family_model(family)))
    config_json, weights = models.config_json_of(loaded.model), models.weights_of(loaded.model)
    again = models.model_from_weights(config_json, weights)
    assert torch.equal(logits(again), logits(loaded.model))
    assert models.load_tokenizer(str(tmp_path)).context_length == CONTEXT_LENGTH


def test_weights_stay_in_16_bits_where_that_is_asked_for(tmp_path):
    folder = family_folder(tmp_path, "llama")
    AutoModelForCausalLM.from_pretrained(folder).bfloat16().save_pretrained(folder)
    model = models.load_pretrained(str(folder), "auto").model
    weights = models.weights_of(model, "auto")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    again = models.model_from_weights(models.config_json_of(model), weights, "auto")
    assert torch.equal(logits(again), logits(model))
    name = "model.norm.weight"  # memory is shared
    assert again.state_dict()[name].data_ptr() == weights[name].data_ptr()


def test_model_file_of_ours_is_a_name_too(tmp_path):
    content = model_content("llama")
    storage.save_model(tmp_path / "model.pt", content)
    name = str(tmp_path / "model.pt")
    loaded = models.load_pretrained(name)
    tokenizer = models.load_tokenizer(name)
    assert torch.equal(logits(loaded.model), logits(tiny_model("llama")))
    assert tokenizer == (content["tokenizer_json"], END_ID, CONTEXT_LENGTH)
    assert tokenizer[:2] == loaded[1:]
    assert models.load_config(name) == content["config_json"]


def test_model_from_scratch_has_the_given_vocabulary_and_seed(tmp_path):
    folder = tiny_model_folder(tmp_path)
    config_json = (folder / "config.json").read_text()
    built = [models.model_from_scratch(config_json, 300, 299, seed) for seed in (0, 0, 1)]
    assert built[0].get_input_embeddings().num_embeddings == 300
    assert built[0].config.eos_token_id == 299
    assert torch.equal(logits(built[0]), logits(built[1]))
    assert not torch.equal(logits(built[0]), logits(built[2]))
    assert built[0].num_parameters() == tiny_model().num_parameters() + 43 * 32


def test_R10_folder_without_safetensors_is_refused(tmp_path):
    folder = tiny_model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(TweetgenError, match=r"needs model\.safetensors .*pytorch_model\.bin"):
        models.load_pretrained(str(folder))


@pytest.mark.parametrize("name", ["gpt2", "someone/some-model"])
def test_R11_hub_name_without_network_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = f"model '{name}' is not on this machine.*connect once or pass --model models/base"
    for load in (models.load_pretrained, models.load_tokenizer):
        with pytest.raises(TweetgenError, match=message):
            load(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/dir/x", "^no such folder: missing/dir/x"),
        ("tests/missing", "^no such folder: tests/missing"),
        ("./missing", "^no such folder"),
        ("/missing", "^no such folder"),
        ("~/missing", "^no such folder"),
        ("{folder}/missing", "^no such folder"),
        ("{folder}", "has no config.json"),
        ("{folder}/file", "is a file"),
        ("two words", "neither a folder nor the name of a model"),
    ],
)
def test_R12_missing_folder_is_named(name, message, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TweetgenError, match=message):
        models.load_pretrained(name.replace("{folder}", str(tmp_path)))


@pytest.mark.parametrize(
    ("tokenizer_says", "config_says", "expected"),
    [
        (END, 7, END_ID),
        ({"content": END}, 7, END_ID),
        (None, 7, 7),
        (None, [7, 8], 7),
        ("<not-there>", 7, 7),
    ],
)
def test_end_token_is_what_the_tokenizer_says_else_the_config(
    tokenizer_says, config_says, expected, tmp_path
):
    folder = tiny_model_folder(tmp_path)
    edit_json(folder / "tokenizer_config.json", eos_token=tokenizer_says)
    edit_json(folder / "config.json", eos_token_id=config_says)
    assert models.load_tokenizer(str(folder)).eos_token_id == expected


def test_model_without_end_token_is_refused(tmp_path):
    folder = tiny_model_folder(tmp_path)
    (folder / "tokenizer_config.json").unlink()
    edit_json(folder / "config.json", eos_token_id=None)
    with pytest.raises(TweetgenError, match="which token ends a text"):
        models.load_tokenizer(str(folder))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "config.json is missing or damaged"),
        ("config.json", '{"model_type": "no-such"}', "not a causal language model"),
        ("tokenizer.json", "{}", "tokenizer.json is missing or damaged"),
        ("model.safetensors", "x", "not a causal language model"),
    ],
)
def test_damaged_folder_is_named(file, content, message, tmp_path):
    folder = tiny_model_folder(tmp_path)
    (folder / file).write_text(content)
    with pytest.raises(TweetgenError, match=message):
        models.load_pretrained(str(folder))


def test_folder_with_half_of_the_weights_is_refused(tmp_path):
    folder = tiny_model_folder(tmp_path)
    edit_json(folder / "config.json", n_layer=3)
    with pytest.raises(TweetgenError, match="has no weights of the right shape"):
        models.load_pretrained(str(folder))


def test_code_that_comes_with_a_model_is_never_run(tmp_path):
    folder = tiny_model_folder(tmp_path)
    mark = tmp_path / "executed"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    edit_json(
        folder / "config.json",
        model_type="evil",
        auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"},
    )
    with pytest.raises(TweetgenError):
        models.load_pretrained(str(folder))
    assert not mark.exists()


def test_tokenizer_without_tokenizer_json_is_converted(tmp_path):
    folder = tiny_model_folder(tmp_path)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"] | {END: END_ID}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer.json").unlink()
    edit_json(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    tokenizer = models.load_tokenizer(str(folder))
    ids = encoder(tokenizer.tokenizer_json).encode("hi", add_special_tokens=False).ids
    assert ids == [71, 72] and tokenizer.eos_token_id == END_ID


def test_folder_without_any_tokenizer_is_refused(tmp_path):
    folder = tiny_model_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TweetgenError, match=r"no tokenizer\.json"):
        models.load_tokenizer(str(folder))


def test_bundled_model_is_found_from_any_folder(tmp_path, monkeypatch):
    expected = models.load_tokenizer("models/base")
    monkeypatch.chdir(tmp_path)
    assert models.load_tokenizer("models/base") == expected


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_head": 3}, "no gpt2 model can have this config"),
        ({"n_embd": "32"}, "no gpt2 model can have this config"),
        ({"model_type": "unheard"}, "no model type 'unheard'"),
    ],
)
def test_a_config_that_no_model_can_have_is_said_in_one_line(tmp_path, changes, message):
    config = json.loads((tiny_model_folder(tmp_path / "m") / "config.json").read_text()) | changes
    with pytest.raises(TweetgenError, match=message):
        models.model_from_scratch(json.dumps(config), 300, 299, 0)


def test_weights_of_another_size_than_the_config_are_refused(tmp_path):
    folder = tiny_model_folder(tmp_path / "m")
    edit_json(folder / "config.json", n_embd=64)
    with pytest.raises(TweetgenError):
        models.load_pretrained(str(folder))


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The folder of the tiny model "someone/tiny" in a cache of the hub, without network."""
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tiny_model_folder(repository / "snapshots" / COMMIT)


def test_hub_name_is_found_in_the_cache_without_network(cached):
    assert torch.equal(logits(models.load_pretrained("someone/tiny").model), logits(tiny_model()))
    assert models.load_tokenizer("someone/tiny").eos_token_id == END_ID


@pytest.mark.parametrize(
    "missing", ["model.safetensors", "tokenizer.json", "model-2-of-2.safetensors"]
)
def test_an_interrupted_download_is_not_taken_for_a_model(missing, cached):
    if missing == "model-2-of-2.safetensors":
        index = {"weight_map": {"a": "model.safetensors", "b": missing}}
        (cached / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        (cached / missing).unlink()
    with pytest.raises(TweetgenError, match="is not on this machine"):
        models.load_pretrained("someone/tiny")
    if missing != "tokenizer.json":
        assert models.load_tokenizer("someone/tiny").eos_token_id == END_ID
