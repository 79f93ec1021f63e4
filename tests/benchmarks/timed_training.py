"""Fine-tune as fine_tune.py does, and look on the way at how good the model is.

    python timed_training.py TOKEN_FILE OUTPUT MODEL MINUTES [MINUTES ...] [-- --learning_rate 3e-4]

The training ends after the last of the minutes; it would be the same without the looks before that,
which its time includes. Prints one line of JSON: the bits per character before and at each look.
"""

import argparse
import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tweetgen import console
from tweetgen.settings import TrainingSettings
from tweetgen.threads import limit_spinning


def main():
    parser = argparse.ArgumentParser()
    for name in ("token_file", "output", "model"):
        parser.add_argument(name)
    parser.add_argument("minutes", nargs="+", type=float)
    console.add_settings(parser, TrainingSettings)
    arguments = parser.parse_args()
    limit_spinning()
    from tweetgen import storage
    from tweetgen.dataset import Tokens
    from tweetgen.finetune.job import FineTuning
    from tweetgen.training import StepReport
    from tweetgen.training.ranks import Ranks
    from tweetgen.training.validation import validate

    *looks, arguments.max_minutes = sorted(arguments.minutes)
    job = FineTuning(
        arguments.token_file,
        arguments.output,
        console.settings_from(arguments, TrainingSettings),
        model=arguments.model,
        device="cpu",
        ranks=Ranks(),
    )
    tokens = Tokens.from_file(storage.load_tokens(arguments.token_file))
    training, num_tokens, found = job.training, 0, {}
    for report in training.run():
        num_tokens += report.tokens if isinstance(report, StepReport) else 0
        while looks and report.seconds >= 60 * looks[0]:
            with training.average.in_place():
                seen = validate(training.learner, tokens, Ranks())
            found[f"{looks.pop(0):g}"] = round(seen.bits_per_character, 4)
    seconds = training.seconds
    job.finish()
    history = [round(entry["bits_per_character"], 4) for entry in training.position.history]
    found = {"0": history[0]} | found | {f"{arguments.max_minutes:g}": min(history)}
    figures = {
        "bits_per_character": found,  # after so many minutes
        "tokens_per_second": round(num_tokens / seconds, 1),
        "epochs": round(training.position.step / training.steps_per_epoch, 2),
        "learning_rate": training.peak,
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
