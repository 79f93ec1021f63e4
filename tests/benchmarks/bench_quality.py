"""Measure what a wall-clock budget buys: this pipeline beside the usual ways of fine-tuning.

    python -m tests.benchmarks.bench_quality --data FOLDER --peers VENV/bin/python
        [--minutes 3] [--systems tweetgen trainer-best concatenate] [--files ...] [--quick]

Same data, same base model, same minutes of training; then bits per character of the held-out tweets
and 500 first drafts of each. Trainings run two at a time with one thread each, so that systems
that are compared share the machine's moods. Adds to results/quality.json, by minutes.
"""

import dataclasses
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import harness

FILES = ("data/neiltyson_tweets.csv", "data/election-tweets-2016.tab")
SYSTEMS = ("tweetgen", "trainer-best", "concatenate")
NUM_DRAFTS = 500


def train(system, python, tokens, minutes, output):
    """Train for so long; returns how many steps that were."""
    script = Path(__file__).with_name("trainers.py")
    base = harness.PROJECT / "models" / "base"
    line = [python, script, system, base, tokens, "minutes", minutes, output]
    run = harness.run(line, OMP_NUM_THREADS="1")
    return json.loads(run.output.splitlines()[-1])["steps"]


def judge(folder, token_file):
    """The model in a folder, by the program's own evaluation."""
    from safetensors.torch import load_file

    from tweetgen import storage
    from tweetgen.dataset import Tokens
    from tweetgen.evaluation import evaluate
    from tweetgen.settings import SamplingSettings
    from tweetgen.text import copies as originality

    tokens = Tokens.from_file(storage.load_tokens(token_file))
    model_file = {
        "config_json": (folder / "config.json").read_text(),
        "weights": load_file(folder / "model.safetensors"),
        "tokenizer_json": tokens.tokenizer_json,
        "eos_token_id": tokens.eos_token_id,
        "training": {},
        "originality": originality.build(tokens.texts()[: tokens.validation_start]),
    }
    found = evaluate(model_file, tokens, SamplingSettings(), NUM_DRAFTS)
    drafts = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(found.model).items()
    }
    return {"bits_per_character": round(found.bits_per_character, 4)} | drafts


def measure(arguments, folder):
    """A line for each file and system."""
    cases = []
    for name in arguments.files:
        tokens = Path(folder, Path(name).stem + ".pkl")
        line = [sys.executable, "preprocess.py", "--data_path", arguments.data / name]
        harness.run([*line, "--output_path", tokens])
        cases += [(tokens, system) for system in arguments.systems]

    def run(number):
        tokens, system = cases[number]
        python = sys.executable if system == "tweetgen" else arguments.peers
        return train(system, python, tokens, arguments.minutes, Path(folder, str(number)))

    with ThreadPoolExecutor(2) as pool:
        steps = list(pool.map(run, range(len(cases))))
    return [
        {"file": tokens.stem, "system": system, "steps": num_steps}
        | judge(Path(folder, str(number)), tokens)
        for number, ((tokens, system), num_steps) in enumerate(zip(cases, steps, strict=True))
    ]


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--minutes", type=float, default=3)
    flags.add_argument("--systems", nargs="+", default=SYSTEMS)
    flags.add_argument("--files", nargs="+", default=FILES)
    arguments = flags.parse_args()
    if arguments.quick:
        arguments.minutes = 0.25
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(arguments, folder)
    shown = ("file", "system", "steps", "bits_per_character", "ended", "usable", "distinct_2")
    harness.print_table([shown, *(tuple(line[name] for name in shown) for line in lines)])
    path = harness.RESULTS / "quality.json"
    earlier = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
    results = earlier | {f"{arguments.minutes:g} minutes": lines}
    command = f"python -m tests.benchmarks.bench_quality --minutes {arguments.minutes:g}"
    harness.save("quality", harness.document(command, results))


if __name__ == "__main__":
    main()
