"""The model a training starts from: a pre-trained one, an earlier model file, or random weights."""

import hashlib
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from tweetgen import models, storage
from tweetgen.dataset import TokenizedTweets
from tweetgen.errors import TweetgenError

# float32 weights; of what is trained also gradient, two moments of Adam, average and best value.
BYTES_PER_TRAINED = 20
# From the peaks of models/base, GPT-2 and SmolLM2-135M: Python with its libraries, and what a layer
# keeps of each token for the way back, for each element of its width.
BYTES_OF_PROGRAM, BYTES_PER_ACTIVATION = 4e8, 200
FEW_TWEETS = 1000  # below, others report models that repeat their data word for word


class Start(NamedTuple):
    """A transformers model on the CPU, its config, and the name it was asked for by."""

    name: str
    config_json: str
    model: Any
    num_parameters: int  # of the model as it was, without adapters
    originality: dict[str, Any]  # the hashes of what a model file of ours was trained on, or {}

    def describe(self, tokens_at_once: float) -> str:
        """What was loaded and the memory it takes to train on so many tokens at once, in a line."""
        memory = f"{memory_to_train(self.model, tokens_at_once) / 1e9:.1f}"
        line = f"{self.name}: {self.num_parameters:,} parameters, about {memory} GB of memory"
        trained = self.model.num_parameters(only_trainable=True)
        is_lora = trained < self.num_parameters
        return f"{line}, training {trained:,} adapter weights (LoRA)" if is_lora else line


def memory_to_train(model: Any, tokens_at_once: float) -> float:
    """About how many bytes training takes, without gradient checkpointing."""
    weights: int = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    trained: int = model.num_parameters(only_trainable=True)
    # What a config calls otherwise, transformers knows by these names too; 0 where it does not.
    layers = getattr(model.config, "num_hidden_layers", 0)
    elements: float = tokens_at_once * layers * getattr(model.config, "hidden_size", 0)
    return (
        BYTES_OF_PROGRAM + weights + BYTES_PER_TRAINED * trained + BYTES_PER_ACTIVATION * elements
    )


def describe_data(tweets: TokenizedTweets) -> str:
    """What there is to learn from, and what to expect of so much, in a line or two."""
    num_training, num_validation = tweets.num_training, tweets.num_validation
    num_tokens = int(tweets.offsets[tweets.validation_start])
    lines = [f"{num_training:,} tweets ({num_tokens:,} tokens) to learn from"]
    if num_validation:
        lines[0] += f", {num_validation:,} held out: training ends when these get no likelier"
    else:
        lines.append("no tweets are held out: nothing will say when the model stops getting better")
    if num_training < FEW_TWEETS:
        lines.append(f"under {FEW_TWEETS:,} tweets expect copying: more drafts will be drawn again")
    return "\n".join(lines)


def starting_model(name: str, tweets: TokenizedTweets, from_scratch: bool, seed: int) -> Start:
    """The model to train on `tweets`: a folder, hub name, .gguf file or model file (.pt) of ours.

    Raises:
        TweetgenError: it cannot be loaded, or was made for another tokenizer than the data.
    """
    learned: dict[str, Any] = {}
    if from_scratch:
        shape = models.load_config(name)
        size = Tokenizer.from_str(tweets.tokenizer_json).get_vocab_size()
        name = f"{name} (random weights)"
        model = models.model_from_scratch(shape, size, tweets.eos_token_id, seed)
    else:
        loaded = models.load_pretrained(name, "auto")
        _check_tokenizer(name, loaded.tokenizer_json, tweets)
        model = loaded.model
        if name.endswith(".pt"):
            learned = storage.load_model(name)["originality"]
    return Start(name, models.config_json_of(model), model, model.num_parameters(), learned)


def architecture_fingerprint(config_json: str) -> str:
    """The start of the SHA-256 of a config: another one is another model."""
    return hashlib.sha256(config_json.encode()).hexdigest()[:16]


def _check_tokenizer(name: str, tokenizer_json: str, tweets: TokenizedTweets) -> None:
    if tokenizer_json == tweets.tokenizer_json:
        return
    data = f"the data was tokenised for {tweets.tokenizer_name}, not for {name}"
    advice = f"Run preprocess.py with --model {name}"
    if tweets.settings.get("new_vocabulary"):
        data = f"the data has a vocabulary of its own, not that of {name}"
        advice = "Add --from_scratch, or name a model file that was trained on such data"
    raise TweetgenError(f"{data}. {advice}.")
