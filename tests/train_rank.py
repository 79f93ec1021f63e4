"""Two small trainings, to be run by one process or by several: python -m tests.train_rank

Prints losses and weights of the first as JSON; in the second, rank 1 fails after a report.
"""

import json
import sys

import torch

from tests.tiny import tiny_model, tiny_tokens
from tweetgen.errors import TweetgenError
from tweetgen.settings import TrainingSettings
from tweetgen.training import Training
from tweetgen.training.ranks import ranks

TEXTS = ["so it goes", "a", "star stuff", "why?", "42", "no.", "held", "out, too"]
SETTINGS = TrainingSettings(epochs=2, batch_size=5, learning_rate=0.003)


def train(group, failing_rank=-1):
    """The losses of all reports, and the sum of all weights."""
    tokens = tiny_tokens(TEXTS, num_validation=2)
    device, precision = torch.device("cpu"), torch.float32
    training = Training(
        tiny_model(), tokens, SETTINGS, device=device, precision=precision, ranks=group
    )
    losses = []
    for report in training.run():
        losses.append(report.loss)
        if group.rank == failing_rank:
            raise TweetgenError("the disk is full")
    weights = torch.cat([tensor.flatten() for tensor in training.best_weights.values()])
    return {"rank": group.rank, "losses": losses, "sum": weights.abs().sum().item()}


if __name__ == "__main__":
    with ranks() as group:
        print(json.dumps(train(group)))
        try:
            train(group, failing_rank=1)
        except TweetgenError as error:
            sys.exit(str(error))
