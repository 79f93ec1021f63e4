"""Measure training: real tokens a second beside transformers.Trainer, memory, share of the peak.

    python -m tests.benchmarks.bench_training --data FOLDER --peers VENV/bin/python [--quick]

FOLDER holds data/election-tweets-2016.tab. GPT-2 has random weights and the base's tokenizer; its
speed does not depend on them. Writes results/training.json.
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
STEPS = {"GPT-2": 5, "base": 40}
PEERS = ("trainer", "trainer-best")
SYSTEMS = ("tweetgen", *PEERS)
BATCHES = (4, 16, 64)
MATRIX = 2048


def write_gpt2(folder):
    """A folder with GPT-2's architecture, random weights and the tokenizer of models/base."""
    import transformers

    config = transformers.GPT2Config(bos_token_id=0, eos_token_id=0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(harness.PROJECT / "models" / "base" / name, folder)


def train(system, python, folder, tokens, num_steps, *output):
    """One run of a system: tokens a second and peak memory."""
    script = Path(__file__).with_name("trainers.py")
    run = harness.run([python, script, system, folder, tokens, "steps", num_steps, *output])
    return json.loads(run.output.splitlines()[-1])


def compare(folder, tokens, num_steps, peers, repeats):
    """Every system's speed and memory, and how many times as fast we are."""
    pythons = {name: peers if name in PEERS else sys.executable for name in SYSTEMS}
    subjects = {
        name: partial(train, name, pythons[name], folder, tokens, num_steps)
        for name in SYSTEMS
        if pythons[name]
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
            speeds.append(2 * MATRIX**3 / (time.perf_counter() - start))
        peaks[str(dtype).removeprefix("torch.")] = harness.summary(speeds)
    return peaks


def num_parameters(folder):
    """How many weights a model has, the embedding included, tied ones once."""
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder).num_parameters()


def main():
    arguments = harness.parser((__doc__ or "").split("\n")[0]).parse_args()
    repeats = 1 if arguments.quick else 5
    results = {"peak_flops": peak_flops()}
    peak = max(values["median"] for values in results["peak_flops"].values())
    with tempfile.TemporaryDirectory() as place:
        tokens = Path(place, "tokens.pkl")
        line = [sys.executable, "preprocess.py", "--data_path", arguments.data / FILE]
        harness.run([*line, "--output_path", tokens])
        write_gpt2(Path(place, "GPT-2"))
        folders = {"GPT-2": Path(place, "GPT-2"), "base": harness.PROJECT / "models" / "base"}
        for name, folder in folders.items():
            found = compare(folder, tokens, STEPS[name], arguments.peers, repeats)
            size = num_parameters(folder)
            for own in found.values():
                share = 6 * size * own["tokens_per_second"]["median"] / peak
                own["share_of_peak"] = round(share, 3)
            results[name] = {"parameters": size} | found
            table = [("system", "tokens/s", "MB", "share of peak")]
            for system, own in found.items():
                speed = own["tokens_per_second"]["median"]
                table.append((system, speed, own["peak_megabytes"], own["share_of_peak"]))
            harness.print_table([(name, *table[0][1:]), *table[1:]])
    command = "python -m tests.benchmarks.bench_training" + " --quick" * arguments.quick
    harness.save("training", harness.document(command, results))


if __name__ == "__main__":
    main()
