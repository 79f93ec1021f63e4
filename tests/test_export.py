"""Exports: other programs get the same model, token for token."""

import functools
import json
import math
import urllib.request

import pytest
import torch
import transformers

from tests.families import FAMILIES, family_model
from tweetgen import models, storage
from tweetgen.errors import TweetgenError
from tweetgen.tokenizer import END, END_ID, encoder, train_vocabulary

# Real vocabularies have merges: without them llama.cpp reads no file.
TOKENIZER_JSON = train_vocabulary(
    [["the cat sat on the mat, the hat and the rat; 日本 日本"] * 5], 300
)
PROMPTS = [
    *("The cat", "I think that ", "  two spaces", "1999 was 12", "RT @bob: #tag"),
    *("😀 good morning", "日本語テスト", "naïve café", "hello\nworld", ""),
]
NUM_TOKENS = 30
GGUF_FAMILIES = ["gpt2", "llama", "mistral", "qwen2", "qwen3"]
SIXTEEN_BITS = {"rtol": 0.01, "atol": 0.005}


@functools.cache
def model_of(family):
    """A tiny model with more rows than its tokenizer has entries, as Qwen's."""
    return family_model(family, vocabulary_size=encoder(TOKENIZER_JSON).get_vocab_size() + 7)


def content_of(model, tokenizer_json=TOKENIZER_JSON, end=END_ID, **changes):
    """The content of a model file with this model."""
    content = {
        "config_json": models.config_json_of(model),
        "weights": models.weights_of(model),
        "adapters": {},
        "tokenizer_json": tokenizer_json,
        "eos_token_id": end,
        "training": {},
    }
    return content | changes


def logits(model, ids=(END_ID, 65, 66, 67, 200)):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits


def greedy(model, tokenizer_json, end, prompt):
    """Ids of the prompt after the end token, and what the model's likeliest continuation is."""
    start = [end, *encoder(tokenizer_json).encode(prompt, add_special_tokens=False).ids]
    ids = list(start)
    while len(ids) < len(start) + NUM_TOKENS and (ids == start or ids[-1] != end):
        ids.append(int(logits(model, ids)[0, -1].argmax()))
    return start, ids[len(start) :]


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_folder_has_the_same_logits_greedy_tokens_and_ids(family, tmp_path):
    model = model_of(family)
    models.export("transformers", tmp_path, content_of(model))
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert torch.equal(logits(again), logits(model))
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == (END, END_ID)
    for prompt in PROMPTS:
        start, tokens = greedy(model, TOKENIZER_JSON, END_ID, prompt)
        assert tokenizer.encode(prompt) == start  # the end token first, as our texts begin
        assert [END_ID, *tokenizer.encode(prompt, add_special_tokens=False)] == start
        found = again.generate(
            torch.tensor([start]), max_new_tokens=NUM_TOKENS, do_sample=False, use_cache=False
        )
        assert found[0, len(start) :].tolist() == tokens


def test_transformers_folder_generates_by_the_pipeline_and_is_a_model_to_start_from(tmp_path):
    models.export("transformers", tmp_path, content_of(model_of("llama")))
    generated = transformers.pipeline("text-generation", str(tmp_path))("so it", max_new_tokens=4)
    assert generated[0]["generated_text"].startswith("so it")
    assert models.load_pretrained(str(tmp_path)).eos_token_id == END_ID


def test_transformers_folder_keeps_16_bits(tmp_path):
    content = content_of(model_of("llama"))
    content["weights"] = {name: t.bfloat16() for name, t in content["weights"].items()}
    models.export("transformers", tmp_path, content)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


def with_adapters(model, base_model):
    """The content of a model file with adapters of all layers, merged into the weights."""
    generator = torch.Generator().manual_seed(0)
    content = content_of(model, training={"base_model": base_model})
    is_gpt2 = model.config.model_type == "gpt2"
    for name, tensor in list(content["weights"].items()):
        module = name.removesuffix(".weight")
        is_layer = tensor.ndim == 2 and name.split(".")[1] in ("h", "layers")
        if not is_layer:
            continue
        num_outputs, num_inputs = reversed(tensor.shape) if is_gpt2 else tensor.shape
        down = torch.randn(4, num_inputs, generator=generator) / math.sqrt(num_inputs)
        up = 0.3 * torch.randn(num_outputs, 4, generator=generator)
        content["adapters"] |= {f"{module}.lora_down": down, f"{module}.lora_up": up}
        change = 2.0 * up @ down
        content["weights"][name] = tensor + (change.T if is_gpt2 else change)
    return content


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox"])
def test_adapters_over_their_base_are_the_merged_model(family, tmp_path):
    peft = pytest.importorskip("peft")
    base = model_of(family)
    content = with_adapters(base, "someone/base")
    merged = models.model_from_weights(content["config_json"], content["weights"]).eval()
    models.export("peft", tmp_path, content)
    own = models.model_from_weights(content["config_json"], models.weights_of(base))
    adapted = peft.PeftModel.from_pretrained(own, tmp_path).eval()
    torch.testing.assert_close(logits(adapted), logits(merged), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(adapted), logits(base), atol=0.05)
    for prompt in PROMPTS:
        expected = greedy(merged, TOKENIZER_JSON, END_ID, prompt)
        assert greedy(adapted, TOKENIZER_JSON, END_ID, prompt) == expected
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/base"


def test_a_base_that_transformers_cannot_name_is_written_beside_the_adapters(tmp_path):
    peft = pytest.importorskip("peft")
    base = model_of("llama")
    older = str(tmp_path / "older.pt")
    storage.save_model(older, content_of(base, originality={}))
    content = with_adapters(base, older)
    models.export("peft", tmp_path / "out", content)
    adapted = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    merged = models.model_from_weights(content["config_json"], content["weights"]).eval()
    torch.testing.assert_close(logits(adapted), logits(merged), rtol=1e-4, atol=1e-4)


def gguf_file(folder, content, kind="gguf"):
    models.export(kind, folder, content)
    return folder / "model.gguf"


@pytest.mark.parametrize("family", GGUF_FAMILIES)
def test_gguf_file_has_the_same_logits_greedy_tokens_and_tokenizer(family, tmp_path):
    model = model_of(family)
    loaded = models.load_pretrained(str(gguf_file(tmp_path, content_of(model))))
    torch.testing.assert_close(logits(loaded.model), logits(model), **SIXTEEN_BITS)
    assert loaded.eos_token_id == END_ID
    for prompt in PROMPTS:
        expected = greedy(model, TOKENIZER_JSON, END_ID, prompt)
        assert greedy(loaded.model.eval(), loaded.tokenizer_json, END_ID, prompt) == expected


# transformers' reader takes no head size for Qwen 3, and GPT-2's context to be 1,024.
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
def test_gguf_file_is_the_same_model_through_transformers_own_reader(family, tmp_path):
    path = gguf_file(tmp_path, content_of(model_of(family)))
    options = {"gguf_file": path.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float32", **options)
    torch.testing.assert_close(logits(model.eval()), logits(model_of(family)), **SIXTEEN_BITS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, **options)
    ours = encoder(TOKENIZER_JSON)
    for prompt in PROMPTS:  # the end token first, as our texts begin
        ids = ours.encode(prompt, add_special_tokens=False).ids
        assert tokenizer.encode(prompt) == [END_ID, *ids]


class LlamaCpp:
    """llama.cpp itself, a server in this process, with one file."""

    def __init__(self, path):
        xllamacpp = pytest.importorskip("xllamacpp", reason="pip install xllamacpp")
        settings = xllamacpp.CommonParams()
        settings.model.path, settings.n_ctx, settings.n_parallel = str(path), 64, 1
        settings.cpuparams.n_threads, settings.warmup, settings.verbosity = 1, False, 0
        self.server = xllamacpp.Server(settings)

    def post(self, command, **content):
        request = urllib.request.Request(
            self.server.listening_address + command,
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def greedy(self, prompt):
        """Ids of the prompt as llama.cpp starts a text, and its likeliest continuation."""
        ids = self.post("/tokenize", content=prompt, add_special=True)["tokens"]
        settings = {"n_predict": NUM_TOKENS, "top_k": 1, "cache_prompt": False}
        done = self.post("/completion", prompt=prompt, return_tokens=True, **settings)
        return ids, done["tokens"]


def agrees(model, start, tokens, found, tolerance=0.05):
    """Whether continuations are equal, up to a step at which two tokens are as likely."""
    for step, (ours, theirs) in enumerate(zip(tokens, found, strict=False)):
        if ours != theirs:
            values = logits(model, [*start, *tokens[:step]])[0, -1]
            return bool((values[ours] - values[theirs]).abs() < tolerance)
    return len(tokens) == len(found)


@pytest.mark.slow
@pytest.mark.parametrize("family", [*GGUF_FAMILIES, "smollm2"])
def test_gguf_file_in_llama_cpp_itself_has_the_same_ids_and_greedy_tokens(family, tmp_path):
    if family == "smollm2":
        pytest.importorskip("xllamacpp")
        model, tokenizer_json, end = models.load_pretrained(family)
        model.eval()
    else:
        model, tokenizer_json, end = model_of(family), TOKENIZER_JSON, END_ID
    llama_cpp = LlamaCpp(gguf_file(tmp_path, content_of(model, tokenizer_json, end)))
    for prompt in PROMPTS:
        start, tokens = greedy(model, tokenizer_json, end, prompt)
        ids, found = llama_cpp.greedy(prompt)
        assert ids == start
        if prompt:
            assert agrees(model, start, tokens, found), prompt


def test_gguf_file_in_8_bits_is_half_as_large_and_near(tmp_path):
    content = content_of(model_of("llama"))
    small = gguf_file(tmp_path / "q8_0", content, "gguf-q8_0")
    large = gguf_file(tmp_path / "f16", content)
    loaded = models.load_pretrained(str(small))
    torch.testing.assert_close(
        logits(loaded.model.eval()), logits(model_of("llama")), rtol=0.05, atol=0.05
    )
    assert small.stat().st_size < 0.8 * large.stat().st_size  # the vocabulary is in both


def test_gguf_keeps_how_llama_3_stretches_its_context(tmp_path):
    config = transformers.LlamaConfig(
        **FAMILIES["llama"].to_dict()
        | {
            "vocab_size": 300,
            "head_dim": 32,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        }
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    loaded = models.load_pretrained(str(gguf_file(tmp_path, content_of(model))))
    assert loaded.model.config.rope_parameters == config.rope_parameters
    torch.testing.assert_close(
        loaded.model.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq
    )


def test_modelfile_draws_as_generate_does_and_stops_at_the_end(tmp_path):
    gguf_file(tmp_path, content_of(model_of("llama")))
    lines = (tmp_path / "Modelfile").read_text().splitlines()
    assert lines[:3] == [
        "FROM ./model.gguf",
        'TEMPLATE "{{ .Prompt }}"',
        f'PARAMETER stop "{END}"',
    ]
    assert "PARAMETER temperature 0.9" in lines and "PARAMETER repeat_penalty 1" in lines


def test_a_full_disk_leaves_no_half_written_file(tmp_path):
    (tmp_path / "model.gguf").mkdir()  # cannot be replaced by a file
    with pytest.raises(TweetgenError, match=r"cannot write .*model\.gguf"):
        gguf_file(tmp_path, content_of(model_of("llama")))
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize(
    ("kind", "family", "message"),
    [
        ("peft", "llama", "writes adapters, and this training changes all weights"),
        ("gguf", "gemma3", "a model of type gemma3_text cannot be written as GGUF"),
        ("gguf", "granite", "a model of type granite cannot be written as GGUF"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(kind, family, message, tmp_path):
    content = content_of(model_of(family))
    with pytest.raises(TweetgenError, match=message) as raised:
        models.check_exportable(kind, content["config_json"], has_adapters=False)
    assert "\n" not in str(raised.value)
    with pytest.raises(TweetgenError, match=message):
        models.export(kind, tmp_path, content)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused():
    document = json.loads(TOKENIZER_JSON)
    document["pre_tokenizer"] = {"type": "Whitespace"}
    config_json = models.config_json_of(model_of("llama"))
    with pytest.raises(TweetgenError, match="its rule for words is none of gpt-2, smollm"):
        models.check_exportable("gguf", config_json, False, json.dumps(document))


@pytest.mark.parametrize("kind", ["transformers", "gguf"])
@pytest.mark.parametrize("family", GGUF_FAMILIES)
def test_what_can_be_exported_passes_the_check(kind, family):
    config_json = models.config_json_of(model_of(family))
    models.check_exportable(kind, config_json, False, TOKENIZER_JSON)
