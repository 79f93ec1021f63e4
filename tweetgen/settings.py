"""Every choice a user can make, with its default, its range and its help text, in one place.

The classes are plain frozen dataclasses without outside imports, so that `--help` answers before
torch is loaded. `console.add_settings` turns each field into the flag of the same name.
"""

import dataclasses
from typing import Any


def setting(
    default: Any, help: str, *, choices: tuple[str, ...] | None = None, **limits: float
) -> Any:
    """A dataclass field whose metadata holds what its flag needs; limits as `console.number`'s."""
    metadata = {"help": help, "choices": choices, "limits": limits}
    return dataclasses.field(default=default, metadata=metadata)


AUTO = -1  # where 0 has a meaning of its own
LARGE_MODEL = 50_000_000  # parameters: adapted instead of trained, and drawn from differently


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """How the files of tweets are read; "auto" and "" mean: look at the file."""

    format: str = setting(
        "auto",
        "what the files are",
        choices=("auto", "csv", "tsv", "json", "jsonl", "txt", "archive"),
    )
    encoding: str = setting("auto", "character encoding, such as utf-8 or cp1252")
    separator: str = setting("auto", r"between columns, such as ; or \t")
    text_column: str = setting("", "column (or JSON key) with the text; otherwise found by looking")
    since: str = setting("", "only tweets from this day on, YYYY-MM-DD")
    until: str = setting("", "only tweets up to and including this day, YYYY-MM-DD")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleaningSettings:
    """What happens to each thing found in a tweet."""

    urls: str = setting("remove", "links", choices=("remove", "keep", "drop"))
    mentions: str = setting("remove", "@names", choices=("remove", "keep", "drop"))
    personal_data: str = setting(
        "remove",
        "e-mail addresses and telephone numbers",
        choices=("remove", "keep", "drop"),
    )
    hashtags: str = setting(
        "keep", "#hashtags; words: without the sign", choices=("keep", "words", "remove", "drop")
    )
    emoji: str = setting(
        "keep", "emoji; demojize: as :names:", choices=("keep", "demojize", "remove", "drop")
    )
    retweets: str = setting(
        "drop",
        "tweets that start RT @name; strip: keep the text",
        choices=("drop", "strip", "keep"),
    )
    replies: str = setting("keep", "tweets that start with @name", choices=("keep", "drop"))
    newlines: str = setting("space", "line breaks inside a tweet", choices=("space", "keep"))
    case: str = setting("keep", "letter case", choices=("keep", "lower"))
    characters: str = setting(
        "keep",
        "basic: only letters, digits, spaces, common punctuation, # and emoji",
        choices=("keep", "basic"),
    )
    min_words: int = setting(3, "drop tweets with fewer words", minimum=0, maximum=1000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Which of the clean tweets become the data set."""

    near_duplicates: float = setting(
        0.0,
        "drop tweets this similar (Jaccard of 5-grams) to an earlier one; 0 = off",
        minimum=0,
        maximum=1,
    )
    max_tweets: int = setting(0, "keep this many tweets, drawn at random; 0 = all", minimum=0)
    val_fraction: float = setting(0.1, "share held out for validation", minimum=0, maximum=0.9)
    seed: int = setting(0, "seed of the random choices", minimum=0, maximum=2**32 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a model is fine-tuned. `--resume` refuses other settings, but for `--max_minutes`."""

    epochs: int = setting(10, "passes over the training tweets", minimum=1)
    batch_size: int = setting(16, "tweets per optimiser step, over all processes", minimum=1)
    learning_rate: float = setting(
        0.0, "peak learning rate; 0 = by model size", minimum=0, maximum=1
    )
    warmup_steps: int = setting(20, "steps over which the learning rate rises", minimum=0)
    schedule: str = setting(
        "constant", "learning rate after warm-up", choices=("constant", "cosine", "linear")
    )
    weight_decay: float = setting(0.0, "AdamW's weight decay; 0 is Adam", minimum=0, maximum=1)
    max_grad_norm: float = setting(1.0, "clip gradients to this norm; 0 = off", minimum=0)
    ema_decay: float = setting(
        0.99,
        "decay of the average of the weights, which is what is saved; 0 = the last weights",
        minimum=0,
        maximum=0.99999,
    )
    dropout: float = setting(0.0, "dropout while training", minimum=0, maximum=0.9)
    lora_rank: int = setting(
        AUTO,
        "train adapters of this rank, not the weights; 0 = no, -1 = 16 for large models",
        minimum=AUTO,
    )
    accumulate: int = setting(1, "split each batch into this many, for less memory", minimum=1)
    patience: float = setting(
        0.5, "stop after this many epochs without improvement; 0 = never", minimum=0
    )
    max_steps: int = setting(0, "stop after this many steps; 0 = no limit", minimum=0)
    max_minutes: float = setting(0.0, "stop after this many minutes; 0 = no limit", minimum=0)
    seed: int = setting(0, "seed of order, dropout and sample", minimum=0, maximum=2**32 - 1)
    precision: str = setting(
        "auto", "number format of the arithmetic", choices=("auto", "fp32", "bf16")
    )
    gradient_checkpointing: bool = setting(False, "less memory, about a third slower")
    from_scratch: bool = setting(False, "random weights from the config of --model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How tweets are drawn, and which drafts are good enough to show."""

    max_length: int = setting(280, "longest tweet by X's own count; 0 = no limit", minimum=0)
    temperature: float = setting(
        AUTO,
        "higher is wilder; 0 always takes the likeliest, -1 = by model size",
        minimum=AUTO,
    )
    top_p: float = setting(
        0.0,
        "keep the likeliest tokens with this share; 0 = by model size",
        minimum=0,
        maximum=1,
    )
    top_k: int = setting(0, "keep this many of the likeliest tokens; 0 = all", minimum=0)
    min_p: float = setting(
        0.0, "keep tokens with this share of the likeliest one's probability", minimum=0, maximum=1
    )
    repetition_penalty: float = setting(1.0, "above 1: repeat less", minimum=0.1, maximum=10)
    no_repeat_ngram: int = setting(0, "never repeat a run of this many tokens; 0 = off", minimum=0)
    seed: int = setting(0, "same seed, same tweets", minimum=0, maximum=2**32 - 1)
    copies: str = setting(
        "reject", "drafts that copy a training tweet", choices=("reject", "allow")
    )
    batch_size: int = setting(64, "drafts computed at once", minimum=1)

    def for_model(self, num_parameters: int) -> "SamplingSettings":
        """The same with a temperature and a top-p, where none were chosen, for a model's size.

        Those of which drafts are least told apart from held-out tweets, by words and by likelihood
        together, and as fluent as these (tests/benchmarks/results/sampling.json). SmolLM2-135M's of
        three voices: by 0.56, 0.66 and 0.59 at 1.0 and 0.99, which no other top-p at 1.0 betters by
        more than 0.02; 0.97 makes them up to 5 % too smooth, 1 up to 3 % too wild. At 0.9 and 0.99
        they are 8 to 9 % too smooth: 0.77, 0.75 and 0.69; top-k or min-p in place of top-p gave
        0.81 to 0.92. Those of models/base, which gets lost sooner, with SmolLM2-135M as the judge:
        by 0.78 at 0.9 and 0.95, by 0.85 at 1.0 and 0.95.
        """
        temperature, top_p = (1.0, 0.99) if num_parameters >= LARGE_MODEL else (0.9, 0.95)
        return dataclasses.replace(
            self,
            temperature=temperature if self.temperature == AUTO else self.temperature,
            top_p=self.top_p or top_p,
        )
