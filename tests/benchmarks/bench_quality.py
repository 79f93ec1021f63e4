"""Measure what the same minutes buy: tweetgen's command beside transformers.Trainer with peft.

    python -m tests.benchmarks.bench_quality --data FOLDER --peers VENV/bin/python [--quick]
        [--minutes 3 8] [--models smollm2 models/base] [--voices sample neiltyson_tweets.csv]
        [--systems tweetgen trainer-peft] [--seeds 0] [--rate 1.8e-3] [--at_once 2]

Same tweets, same start, same minutes of training, both by their best on the held-out tweets; then
bits per character of those tweets, by the same code for all. Two trainings run at a time with one
thread each, so that what is compared shares the machine's moods (--at_once 1: one after another,
with all threads). models/base is small: there the Trainer trains all weights. Writes
results/quality.json.
"""

import itertools
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import harness
from tests.benchmarks.bench_training import peer_precisions
from tests.benchmarks.model_folders import BASE, SMOLLM2, write_folder

MODELS = {"smollm2": SMOLLM2, harness.BASE: BASE}
VOICES = (harness.SAMPLE, "neiltyson_tweets.csv")
SYSTEMS = ("tweetgen", "trainer-peft")
# The default of tweetgen for each, which serves the Trainer better than its own 5e-5.
RATES = {"smollm2": 1.8e-3, harness.BASE: 5.7e-4}
ROWS = 16  # judged at once


def train(case, arguments, folder, tokens, output):
    """Train one case; the folder of transformers that it leaves, and what its log says."""
    system, minutes, seed = case["system"], case["minutes"], case["seed"]
    threads = {"OMP_NUM_THREADS": "1"} if arguments.at_once > 1 else {}
    if system == "tweetgen":
        line = [sys.executable, "fine_tune.py", "--data", tokens, "--model", folder]
        line += ["--output_path", output.with_suffix(".pt"), "--export_path", output]
        line += ["--max_minutes", minutes, "--epochs", 1000, "--seed", seed]
        harness.run(line, **threads)
        return
    is_small = case["model"] == harness.BASE
    line = [arguments.peers, harness.script("trainers"), "trainer" if is_small else system]
    line += [folder, tokens, "minutes", minutes, "--output", output, "--seed", seed]
    line += ["--rate", arguments.rate or RATES[case["model"]]]
    precision = arguments.precision or peer_precisions("trainer")[0]
    harness.run([*line, "--precision", precision], **threads)


def bits_per_character(folder, token_file):
    """Of the held-out tweets, their ends counted, by transformers in float32."""
    import torch
    import transformers

    from tweetgen import storage

    tokens = storage.load_tokens(token_file)
    start, end = tokens["validation_start"], tokens["eos_token_id"]
    borders = itertools.pairwise(tokens["offsets"][start:].tolist())
    rows = sorted(([end, *tokens["ids"][a:b].tolist()] for a, b in borders), key=len)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    nats = 0.0
    with torch.inference_mode():
        for batch in (rows[first : first + ROWS] for first in range(0, len(rows), ROWS)):
            ids = torch.tensor([row + [0] * (len(batch[-1]) - len(row)) for row in batch])
            mask = torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in batch])
            logits = model(ids, attention_mask=mask.long()).logits[:, :-1].float()
            targets = ids[:, 1:].masked_fill(~mask[:, 1:], -100)
            nats += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="sum"
            ).item()
    return nats / math.log(2) / int(tokens["characters"][start:].sum())


def measure(arguments, place):
    """Bits per character of each case, by its parts."""
    inputs = {}
    for model, voice in itertools.product(arguments.models, arguments.voices):
        folder = place / MODELS[model]
        if not folder.is_dir():
            write_folder(MODELS[model], folder)
        tokens = place / f"{MODELS[model]}-{Path(voice).stem}.pkl"
        inputs[model, voice] = folder, harness.preprocess(arguments.data, voice, folder, tokens)
    keys = ("model", "voice", "minutes", "seed", "system")
    systems = [name for name in arguments.systems if name == "tweetgen" or arguments.peers]
    values = (arguments.models, arguments.voices, arguments.minutes, arguments.seeds, systems)
    cases = [dict(zip(keys, case, strict=True)) for case in itertools.product(*values)]

    def run(number):
        case, output = cases[number], place / f"trained-{number}"
        train(case, arguments, *inputs[case["model"], case["voice"]], output)
        return output

    with ThreadPoolExecutor(arguments.at_once) as pool:
        outputs = list(pool.map(run, range(len(cases))))
    for case, output in zip(cases, outputs, strict=True):
        tokens = inputs[case["model"], case["voice"]][1]
        yield case | {"bits_per_character": round(bits_per_character(output, tokens), 4)}


def nested(rows):
    """Rows as dicts in dicts, so that later runs add to earlier ones."""
    results = {}
    for row in rows:
        entry = results.setdefault(MODELS[row["model"]], {}).setdefault(row["voice"], {})
        entry = entry.setdefault(f"{row['minutes']:g} minutes", {}).setdefault(row["system"], {})
        entry[f"seed {row['seed']}"] = row["bits_per_character"]
    return results


def flags():
    """The flags of this script."""
    found = harness.parser("bench_quality", __doc__)
    found.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    found.add_argument("--voices", nargs="+", default=VOICES)
    found.add_argument("--minutes", nargs="+", type=float, default=[3, 8])
    found.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    found.add_argument("--seeds", nargs="+", type=int, default=[0])
    found.add_argument("--rate", type=float, default=0, help="of the peers (default: tweetgen's)")
    found.add_argument("--precision", default="", help="of the peers (default: bf16 where it is)")
    found.add_argument("--at_once", type=int, default=2, help="trainings side by side")
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    if session.arguments.quick:
        session.arguments.minutes = [0.2]
    with harness.folder() as place:
        session.save("quality", nested(measure(session.arguments, place)))


if __name__ == "__main__":
    main()
