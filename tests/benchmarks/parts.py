"""Fine-tune a part of a model for so many minutes, and print how good it is then.

    python parts.py PART RATE MODEL TOKEN_FILE MINUTES

PART is "all", "lora-R" (adapters of rank R) or "last-N" (the weights of the last N layers: no
gradients are computed for what comes before them). RATE is the learning rate, 0 for the default.
The clock starts after loading; the validation at the end is not counted. Prints one line of JSON.
"""

import dataclasses
import json
import resource
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tweetgen import models, storage
from tweetgen.dataset import Tokens
from tweetgen.settings import TrainingSettings
from tweetgen.training import StepReport, Training
from tweetgen.training.learner import transformer_layers
from tweetgen.training.ranks import Ranks
from tweetgen.training.validation import validate


def training_part(tokens):
    """The tweets to learn from, as a token file that holds none out."""
    border = tokens.validation_start
    return dataclasses.replace(
        tokens,
        ids=tokens.ids[: tokens.offsets[border]],
        offsets=tokens.offsets[: border + 1],
        characters=tokens.characters[:border],
    )


def freeze_all_but(model, number):
    """Leave the embeddings and all layers but the last `number` as they are."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    for module in [*tables, *transformer_layers(model)[:-number]]:
        module.requires_grad_(False)


def main():
    part, rate, name, token_file, minutes = sys.argv[1:]
    kind, _, number = part.partition("-")
    tokens = Tokens.from_file(storage.load_tokens(token_file))
    model = models.load_pretrained(name).model
    if kind == "last":
        freeze_all_but(model, int(number))
    settings = TrainingSettings(
        learning_rate=float(rate),
        lora_rank=int(number) if kind == "lora" else 0,
        max_minutes=float(minutes),
    )
    training = Training(
        model,
        training_part(tokens),
        settings,
        device=torch.device("cpu"),
        precision=torch.float32,
    )
    steps = [report for report in training.run() if isinstance(report, StepReport)]
    with training.average.in_place():
        found = validate(training.learner, tokens, Ranks())
    figures = {
        "part": part,
        "learning_rate": training.peak,
        "bits_per_character": round(found.bits_per_character, 4),
        "tokens_per_second": round(sum(step.tokens for step in steps) / steps[-1].seconds, 1),
        "steps": len(steps),
        "trained_parameters": sum(p.numel() for p in training.parameters.values()),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
