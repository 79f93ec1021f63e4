"""Run the three commands as a person does, with each model and voice: time, quality, and tweets.

    python -m tests.benchmarks.bench_models --data FOLDER [--models smollm2 models/base]
        [--voices sample neiltyson_tweets.csv election-tweets-2016.tab] [--max_minutes N]
        [--seeds 0] [--keep FOLDER] [--quick] [-- more flags of fine_tune.py]

Defaults throughout, so training ends where it ends by itself (or after --max_minutes). What the
drafts are like is measured at the default settings and at those of before, temperature 0.9 and
top-p 0.9. --keep leaves model and token files, for sweep_sampling. Writes results/models.json,
with more flags of fine_tune.py results/weights.json.
"""

import dataclasses
import itertools
import shutil
import sys
from pathlib import Path

from tests.benchmarks import harness

VOICES = (harness.SAMPLE, "neiltyson_tweets.csv", "election-tweets-2016.tab")
BEFORE = {"temperature": 0.9, "top_p": 0.9, "top_k": 0, "min_p": 0.0}
NUM_SHOWN = 20  # of the tweets that generate.py prints
NUM_DRAFTS = 500


def fine_tune(arguments, model, voice, seed, place):
    """Seconds of preprocess.py and fine_tune.py, and what the model file says of the training."""
    from tweetgen import storage

    tokens, output = place / "tokens.pkl", place / "model.pt"
    data = harness.voice_path(arguments.data, voice)
    line = [sys.executable, "preprocess.py", "--data_path", data, "--model", model]
    seconds = {"preprocess": harness.run([*line, "--output_path", tokens]).seconds}
    line = [sys.executable, "fine_tune.py", "--data", tokens, "--output_path", output]
    line += ["--seed", seed, "--max_minutes", 0.2 if arguments.quick else arguments.max_minutes]
    run = harness.run([*line, *arguments.flags], watched=True)
    seconds["fine_tune"] = run.seconds
    training = storage.load_model(output)["training"]
    history = training["history"]
    best = min(history, key=lambda entry: entry["bits_per_character"])
    minutes = {f"{entry['seconds'] / 60:.1f}": entry["bits_per_character"] for entry in history}
    return {
        "seconds": seconds,
        "bits_per_character": harness.rounded(training["bits_per_character"]),
        "bits_per_character_by_minute": harness.rounded(minutes),
        "minutes_of_training": round(training["seconds"] / 60, 2),
        "minutes_to_best": round(best["seconds"] / 60, 2),
        "peak_megabytes": round(run.peak_bytes / 1e6),
        "model_file_megabytes": round(output.stat().st_size / 1e6),
    }


def generate(place):
    """Seconds of generate.py to its fifth tweet and to its hundredth, and the first tweets."""
    line = [sys.executable, "generate.py", "--model_path", place / "model.pt", "--num_tweets"]
    five, hundred = harness.run([*line, 5]), harness.run([*line, 100])
    tweets = hundred.output.splitlines()[:NUM_SHOWN]
    return {"generate_5": five.seconds, "generate_100": hundred.seconds}, tweets


def measure(arguments, model, voice, seed, place):
    """All figures of one model and voice."""
    from tests.benchmarks.scoring import Scorer
    from tweetgen.settings import SamplingSettings

    found = fine_tune(arguments, model, voice, seed, place)
    seconds, found["tweets"] = generate(place)
    found["seconds"] = harness.rounded(found["seconds"] | seconds)
    default = SamplingSettings(seed=seed)
    before = dataclasses.replace(default, **BEFORE)
    scorer = Scorer(place / "model.pt", place / "tokens.pkl", NUM_DRAFTS)
    found["human"] = scorer.people()
    found["drafts"] = {"default": scorer.drafts(default), "before": scorer.drafts(before)}
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        name = f"{Path(model).name}-{Path(voice).stem}-{seed}"
        for file in (place / "model.pt", place / "tokens.pkl"):
            shutil.copy(file, arguments.keep / (name + file.suffix))
    return found


def flags():
    """The flags of this script."""
    found = harness.parser("bench_models", __doc__)
    found.add_argument("--models", nargs="+", default=["smollm2", harness.BASE])
    found.add_argument("--voices", nargs="+", default=VOICES)
    found.add_argument("--seeds", nargs="+", type=int, default=[0])
    found.add_argument("--max_minutes", type=float, default=0, help="of each training (0: its end)")
    found.add_argument("--keep", type=Path, help="folder for the model and token files")
    found.add_argument("flags", nargs="*", help="more flags for fine_tune.py, after --")
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    arguments, results = session.arguments, {}
    cases = itertools.product(arguments.models, arguments.voices, arguments.seeds)
    for model, voice, seed in cases:
        if session.minutes_left() <= 0:
            break
        with harness.folder() as place:
            found = measure(arguments, model, voice, seed, place)
        name = " ".join([model, *arguments.flags])
        results.setdefault(name, {}).setdefault(voice, {})[f"seed {seed}"] = found
        session.save("weights" if arguments.flags else "models", results)


if __name__ == "__main__":
    main()
