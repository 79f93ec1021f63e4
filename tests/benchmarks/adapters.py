"""Fine-tune a part of a model for so many minutes, and print how good it is then.

    python adapters.py PART RATE MODEL_FOLDER TOKEN_FILE MINUTES

PART is "all", "freeze-N" (all but the embeddings and the first N layers) or "lora-R" (adapters of
rank R beside every linear layer, by peft, and nothing else). The clock starts after loading; the
validation at the end is not counted. Prints one line of JSON.
"""

import dataclasses
import json
import resource
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tweetgen import pretrained, storage
from tweetgen.dataset import Tokens
from tweetgen.settings import TrainingSettings
from tweetgen.training import StepReport, Training
from tweetgen.training.distributed import Ranks
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


def with_adapters(model, rank):
    """The model with adapters, which alone are trained; twice their rank is the usual alpha."""
    import peft

    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    return peft.inject_adapter_in_model(config, model)


def main():
    part, rate, folder, token_file, minutes = sys.argv[1:]
    kind, _, number = part.partition("-")
    tokens = Tokens.from_file(storage.load_tokens(token_file))
    model = pretrained.load_pretrained(folder).model
    if kind == "lora":
        model = with_adapters(model, int(number))
    settings = TrainingSettings(
        learning_rate=float(rate),
        freeze_layers=int(number) if kind == "freeze" else 0,
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
        "learning_rate": settings.learning_rate,
        "bits_per_character": round(found.bits_per_character, 4),
        "tokens_per_second": round(sum(step.tokens for step in steps) / steps[-1].seconds, 1),
        "steps": len(steps),
        "trained_parameters": sum(p.numel() for p in training.parameters.values()),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
