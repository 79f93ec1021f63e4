"""Measure generation: tokens a second beside other engines, cold start, and a thousand tweets.

    python -m tests.benchmarks.bench_generation --peers VENV/bin/python
        [--models GPT-2 base] [--engines openvino-int8 ...]
        [--model_path models/fine_tuned_model.pt] [--token_file data/processed.pkl] [--quick]

The engines draw from models of random weights whose logits are as spread as a trained model's; the
speed does not depend on what the weights are. `--model_path` is a fine-tuned models/base, for the
cold start, the thousand tweets and what int8 costs; `--token_file` has its held-out tweets. Adds to
results/generation.json: engines that are not measured again keep their figures, and so do we where
not all are; each engine has what we drew in its own turns, and the ratio to that.
"""

import itertools
import json
import math
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.benchmarks import harness
from tests.benchmarks.engine_models import CONVERTERS
from tests.benchmarks.engines import NUM_TOKENS

ROWS = (64, 16, 1)
SPREAD = 6  # times the logits of random weights: a standard deviation of about 3
NUM_TWEETS = (10, 100, 1000)
OURS = "tweetgen-int8"
PEERS = (
    "transformers-fp32",
    "transformers-bf16",
    "ctranslate2-int8",
    "ctranslate2-float32",
    "openvino-int8",
    "openvino-fp32",
    "llamacpp-q8_0",
    "llamacpp-f16",
)
IMPORT = "from transformers import AutoModelForCausalLM"


def write_model(folder, config):
    """A folder with a model of this config, with a context of NUM_TOKENS."""
    import torch
    import transformers

    torch.manual_seed(0)
    config.n_positions = NUM_TOKENS
    config.bos_token_id = config.eos_token_id = config.vocab_size - 1
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.transformer.ln_f.weight.data *= SPREAD
    model.transformer.wte.weight.data[config.eos_token_id] = 0  # never drawn
    model.save_pretrained(folder)
    shutil.copy(harness.PROJECT / "models" / "base" / "tokenizer.json", folder)


def engine_speed(engine, folder, python):
    """One run of an engine: tokens a second for each number of rows, and peak memory."""
    script = Path(__file__).with_name("engines.py")
    run = harness.run([python, script, engine, folder, *ROWS], **harness.environment_of(engine))
    return json.loads(run.output.splitlines()[-1])


def peers_here(wanted):
    """The wanted engines that can be at their best here."""
    import torch

    from tweetgen.device import choose_precision

    # Where the processor does not multiply in bf16, it is much slower than float32.
    has_bf16 = choose_precision("auto", torch.device("cpu")) == torch.bfloat16
    return [name for name in wanted if has_bf16 or "bf16" not in name]


def compare_engines(folder, engines, python, repeats):
    """Tokens a second of each engine by number of rows, memory, and how we compare."""
    subjects = {OURS: partial(engine_speed, OURS, folder, sys.executable)}
    for name in engines:
        if name.split("-")[0] in CONVERTERS:
            harness.run([python, Path(__file__).with_name("engine_models.py"), name, folder])
        subjects[name] = partial(engine_speed, name, folder, python)
    runs = harness.alternate(subjects, repeats, warm_up=False)
    results = {}
    for name, found in runs.items():
        results[name] = {"peak_megabytes": round(max(run["peak_bytes"] for run in found) / 1e6)}
        for rows in map(str, ROWS):
            own, ours = (
                [run["tokens_per_second"][rows] for run in runs[key]] for key in (name, OURS)
            )
            results[name][rows] = harness.summary(own)
            if name != OURS:
                results[name][f"{OURS} beside it at {rows}"] = harness.summary(ours)
                results[name][f"{OURS} is times as fast at {rows}"] = harness.ratio(ours, own)
    return results


def seconds(line):
    """How long a command takes."""
    return harness.run(line).seconds


def cold_start(model_path, repeats):
    """Seconds to the first tweet, beside the import of transformers alone."""
    tweet = [sys.executable, "generate.py", "--model_path", model_path, "--num_tweets", 1]
    subjects = {
        "first tweet": partial(seconds, tweet),
        "import of transformers": partial(seconds, [sys.executable, "-c", IMPORT]),
    }
    found = harness.alternate(subjects, repeats)
    results = {name: harness.summary(values) for name, values in found.items()}
    return results | {"ratio": harness.ratio(*found.values())}


def bits_per_character(model_path, token_file, precision):
    """Of the held-out tweets, EOS counted, as the decoder that draws tweets expects them."""
    import torch

    from tweetgen import storage
    from tweetgen.dataset import Tokens
    from tweetgen.generation.factory import load_decoder

    tokens = Tokens.from_file(storage.load_tokens(token_file))
    content = storage.load_model(model_path)
    weights = (content["config_json"], content["weights"])
    decoder = load_decoder(*weights, torch.device("cpu"), precision)
    borders = tokens.offsets[tokens.validation_start :].tolist()
    rows = [tokens.ids[a:b].long() for a, b in itertools.pairwise(borders)]
    rows.sort(key=len, reverse=True)
    nats = 0.0
    with torch.inference_mode():
        (prefix,) = decoder.prefill([[tokens.eos_token_id]])
        for first in range(0, len(rows), ROWS[0]):
            batch = rows[first : first + ROWS[0]]
            for row in range(len(batch)):
                decoder.place(row, prefix)
            logits = prefix.logits.expand(len(batch), -1)
            for place in range(len(batch[0])):
                targets = torch.stack([row[place] for row in batch if len(row) > place])
                nats -= logits.log_softmax(1)[range(len(targets)), targets].sum().item()
                longer = sum(len(row) > place + 1 for row in batch)
                logits = decoder.step(targets[:longer]) if longer else logits
    characters = int(tokens.characters[tokens.validation_start :].sum())
    return nats / characters / math.log(2)


def many_tweets(model_path, repeats):
    """Tweets a second, redraws included and loading not, and memory, by number of tweets."""
    line = [sys.executable, "-c", THOUSAND, model_path]
    rows = []
    for num_tweets in NUM_TWEETS:
        runs = [harness.run([*line, num_tweets, seed]) for seed in range(repeats)]
        found = [json.loads(run.output) for run in runs]
        peak = harness.run([*line, num_tweets, 0], watched=True).peak_bytes
        rows.append(
            {
                "tweets": num_tweets,
                "seconds": harness.summary([num_tweets / one["speed"] for one in found]),
                "tweets_per_second": harness.summary([one["speed"] for one in found]),
                "drafts": harness.summary([one["drafts"] for one in found]),
                "peak_megabytes": round(peak / 1e6),
            }
        )
    return rows


THOUSAND = """
import json, sys, time
from tweetgen.threads import limit_spinning
limit_spinning()
from tweetgen import storage
from tweetgen.generation import drawing
from tweetgen.generation.judging import Tally
from tweetgen.settings import SamplingSettings
path, num_tweets, seed = sys.argv[1], *map(int, sys.argv[2:])
model_file = storage.load_model(path)
drawing.use_threads_for(model_file)
model = drawing.load(model_file)
tally = Tally()
start = time.perf_counter()
settings = SamplingSettings(seed=seed)
found = sum(1 for _ in drawing.generate(model, [""], num_tweets, settings, tally=tally))
assert found == num_tweets
print(json.dumps({"speed": found / (time.perf_counter() - start), "drafts": tally.drafts}))
"""


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--model_path", type=Path, default=Path("models/fine_tuned_model.pt"))
    flags.add_argument("--models", nargs="+", default=("GPT-2", "base"))
    flags.add_argument("--engines", nargs="*", default=PEERS, help="beside ours (default: all)")
    flags.add_argument("--token_file", type=Path, default=Path("data/processed.pkl"))
    arguments = flags.parse_args()
    import transformers

    repeats = 1 if arguments.quick else 5
    engines = peers_here(arguments.engines) if arguments.peers else []
    configs = {
        "GPT-2": transformers.GPT2Config(),
        "base": transformers.AutoConfig.from_pretrained(harness.PROJECT / "models" / "base"),
    }
    path = harness.RESULTS / "generation.json"
    results = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
    for name in arguments.models:
        config = configs[name]
        with tempfile.TemporaryDirectory() as folder:
            write_model(folder, config)
            found = compare_engines(folder, engines, arguments.peers, repeats)
        earlier = results.get(name, {})
        is_all = OURS not in earlier or tuple(arguments.engines) == PEERS
        found = earlier | found | ({} if is_all else {OURS: earlier[OURS]})
        results[name] = {engine: found[engine] for engine in (OURS, *PEERS) if engine in found}
        table = [(name, *(f"{rows} rows" for rows in ROWS))]
        for engine, found in results[name].items():
            table.append((engine, *(found[str(rows)]["median"] for rows in ROWS)))
        harness.print_table(table)
    if arguments.model_path.is_file():
        results["cold start"] = cold_start(arguments.model_path.resolve(), repeats)
        results["tweets"] = many_tweets(arguments.model_path.resolve(), repeats)
        results["bits_per_character"] = {
            name: round(bits_per_character(arguments.model_path, arguments.token_file, name), 5)
            for name in ("fp32", "int8")
        }
        print(json.dumps(results["bits_per_character"]))
        print(json.dumps(results["cold start"]), json.dumps(results["tweets"]), sep="\n")
    command = "python -m tests.benchmarks.bench_generation" + " --quick" * arguments.quick
    harness.save("generation", harness.document(command, results))


if __name__ == "__main__":
    main()
