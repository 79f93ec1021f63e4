"""What has to be true and done before the first step: checks, adapters, and the learner."""

import warnings
from typing import Any

import torch

from tweetgen.dataset import TokenizedTweets
from tweetgen.errors import TweetgenError
from tweetgen.models import context_length
from tweetgen.settings import AUTO, TrainingSettings
from tweetgen.training import lora, schedule
from tweetgen.training.learner import Learner, set_dropout


def check_fit(model: Any, tweets: TokenizedTweets) -> None:
    """Raise TweetgenError where the model cannot read the tweets."""
    known = model.get_input_embeddings().num_embeddings
    if len(tweets.ids) and int(tweets.ids.max()) >= known:
        raise TweetgenError("the data has tokens the model does not know. Run preprocess.py.")
    context = context_length(model.config.to_dict())
    if len(tweets.lengths) and int(tweets.lengths.max()) > context:
        raise TweetgenError(
            f"the data has tweets of more than the {context} tokens the model can read. "
            "Run preprocess.py with the --model to be trained."
        )


def adapt(model: Any, settings: TrainingSettings, precision: torch.dtype) -> int:
    """Give the model the adapters that the settings ask for; returns their rank, 0 for none.

    Raises:
        TweetgenError: the model can have none.
    """
    rank = settings.lora_rank
    if rank == AUTO:
        size = model.num_parameters()
        rank = 0 if settings.from_scratch else schedule.default_lora_rank(size)
    if not rank:
        model.float()
        return 0
    if settings.from_scratch:
        raise TweetgenError(
            "--lora_rank adapts a pre-trained model; leave it out with --from_scratch."
        )
    lora.add_adapters(model, rank, settings.seed, precision)
    return rank


def make_learner(
    model: Any, settings: TrainingSettings, device: torch.device, precision: torch.dtype
) -> Learner:
    """The model as a learner, its layers as the settings say.

    Raises:
        TweetgenError: this kind of model cannot do what they ask for.
    """
    is_plain = not settings.dropout and not settings.gradient_checkpointing
    learner = Learner(model, device, precision, is_plain=is_plain)
    set_dropout(model, settings.dropout)
    if settings.gradient_checkpointing:
        try:
            with warnings.catch_warnings(action="ignore"):  # renamed in later 5.x, kept until 6
                model.gradient_checkpointing_enable({"use_reentrant": False})
        except ValueError as error:
            raise TweetgenError(
                f"{model.config.model_type} models have none: leave out --gradient_checkpointing."
            ) from error
    return learner


def memory_advice(settings: TrainingSettings) -> str:
    """What memory is short for, and what needs less."""
    size = settings.batch_size
    advice = "try --gradient_checkpointing or a smaller model"
    if size > 1:
        advice = f"try {size // 2} with --accumulate {2 * settings.accumulate}"
    return f"for --batch_size {size}; {advice}"
