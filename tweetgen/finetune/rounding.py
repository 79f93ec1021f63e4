"""In which number format a model's weights are saved: 16 bits where that costs next to nothing."""

import torch

from tweetgen.dataset import TokenizedTweets
from tweetgen.training.learner import Learner
from tweetgen.training.lora import rounded
from tweetgen.training.ranks import Ranks
from tweetgen.training.validation import validate

MOST_COST = 0.001  # of the bits per character
NUM_TWEETS = 32  # rounded and not, the same tweets: 1,000 tokens tell differences of 0.01 %


def file_format(learner: Learner, tweets: TokenizedTweets) -> torch.dtype:
    """float16 or bfloat16, whichever is closer to the model's weights, or float32.

    float32 if the closer one costs more than 0.1 % bits per character of some held-out tweets;
    where none are held out, float16 or bfloat16 unseen.
    """
    closest = _closest_format(learner)
    if not tweets.num_validation:
        return closest
    exact = validate(learner, tweets, Ranks(), NUM_TWEETS).loss
    with rounded(learner.model, closest):
        cost = validate(learner, tweets, Ranks(), NUM_TWEETS).loss / exact - 1
    return closest if cost <= MOST_COST else torch.float32


def _closest_format(learner: Learner) -> torch.dtype:
    """By the largest weights: float16 has three bits more, but ends at 65,504."""
    largest = max(float(weight.detach().abs().amax()) for weight in learner.model.parameters())
    return torch.float16 if largest < torch.finfo(torch.float16).max / 2 else torch.bfloat16
