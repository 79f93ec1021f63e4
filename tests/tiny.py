"""Tiny GPT-2 and Llama-type model folders, built in process: no network, a few milliseconds."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tweetgen.dataset import TokenizedTweets
from tweetgen.storage import fingerprint
from tweetgen.tokenizer import encoder

END = "<|endoftext|>"
END_ID = 256  # after the 256 bytes
VOCABULARY_SIZE = 257
CONTEXT_LENGTH = 64

torch.set_num_threads(1)  # tiny tensors gain nothing from threads


def byte_tokenizer_json() -> str:
    """A tokenizer with one token for each byte (ids 0-255) and <|endoftext|> (id 256)."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {symbol: number for number, symbol in enumerate(sorted(alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    return tokenizer.to_str()


def tiny_config(architecture: str = "gpt2") -> transformers.PretrainedConfig:
    """The config of a model with 2 layers of width 32 and a context of 64 tokens."""
    if architecture == "gpt2":
        return transformers.GPT2Config(
            vocab_size=VOCABULARY_SIZE,
            n_positions=CONTEXT_LENGTH,
            n_embd=32,
            n_layer=2,
            n_head=4,
            attn_pdrop=0.1,
            embd_pdrop=0.1,
            resid_pdrop=0.1,
            bos_token_id=END_ID,
            eos_token_id=END_ID,
        )
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        max_position_embeddings=CONTEXT_LENGTH,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,  # grouped-query attention
        tie_word_embeddings=False,
        bos_token_id=END_ID,
        eos_token_id=END_ID,
    )


def tiny_model(architecture: str = "gpt2", seed: int = 0) -> transformers.PreTrainedModel:
    """A tiny model with random weights, in evaluation mode, float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(tiny_config(architecture))
    return model.eval()


def tiny_model_folder(path: Path | str, architecture: str = "gpt2", seed: int = 0) -> Path:
    """Write config.json, model.safetensors, tokenizer.json, tokenizer_config.json; the folder."""
    folder = write_folder(path, tiny_model(architecture, seed))
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def write_folder(path: Path | str, model: transformers.PreTrainedModel) -> Path:
    """Write the model with the byte tokenizer, as a folder that the scripts' --model takes."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(byte_tokenizer_json(), encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END,
        "model_max_length": CONTEXT_LENGTH,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def tiny_tokens(texts: Sequence[str], num_validation: int = 0) -> TokenizedTweets:
    """The content of a token file with these texts; the last `num_validation` are held out."""
    tokenizer_json = byte_tokenizer_json()
    encode = encoder(tokenizer_json).encode
    tweets = [encode(text, add_special_tokens=False).ids for text in texts]
    ids = torch.tensor([i for tweet in tweets for i in (*tweet, END_ID)], dtype=torch.int32)
    offsets = torch.tensor([0, *(len(tweet) + 1 for tweet in tweets)]).cumsum(0)
    validation_start = len(texts) - num_validation
    return TokenizedTweets(
        ids=ids,
        offsets=offsets,
        validation_start=validation_start,
        tokenizer_name="tiny",
        tokenizer_json=tokenizer_json,
        eos_token_id=END_ID,
        settings={},
        counts={},
        characters=torch.tensor([len(text) for text in texts]),
        fingerprint=fingerprint(ids, offsets, validation_start),
    )
