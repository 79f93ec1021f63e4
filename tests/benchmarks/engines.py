"""Draw texts with one engine and print its speed; run by the python that has the engine.

    python engines.py ENGINE MODEL_FOLDER NUM_ROWS [NUM_ROWS ...]

Every row gets NUM_TOKENS tokens, all of them drawn with the same temperature and top-p. Engines
that read models of their own find them in the folder, as engine_models.py writes them. Prints one
line of JSON: tokens a second for each number of rows, loading not counted, and peak memory.
"""

import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy

NUM_TOKENS = 32  # a tweet has 25
TEMPERATURE, TOP_P = 0.9, 0.9
TOP_K = 200  # of the engines whose top-p sorts all tokens otherwise, which makes them slower
THREADS = os.cpu_count()
MOST_DRAWS = 3  # of each size, so that a neighbour's hiccup does not decide
ENOUGH_SECONDS = 2  # of one size: a slow engine is drawn from fewer times


def tweetgen(folder, precision):
    """This project's engine; the folder's context ends after NUM_TOKENS, and so do all drafts."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    from safetensors.torch import load_file

    from tweetgen.generation import drawing
    from tweetgen.settings import SamplingSettings

    config = json.loads((folder / "config.json").read_text())
    model_file = {
        "config_json": json.dumps(config),
        "weights": load_file(folder / "model.safetensors"),
        "tokenizer_json": (folder / "tokenizer.json").read_text("utf-8"),
        "eos_token_id": config["eos_token_id"],
        "originality": {},
    }
    drawing.use_threads_for(model_file)
    model = drawing.load(model_file, "cpu", precision)
    def draw(num_rows, seed):
        settings = SamplingSettings(
            temperature=TEMPERATURE, top_p=TOP_P, batch_size=num_rows, max_length=0, seed=seed
        )
        return [draft.tokens for draft in drawing.first_drafts(model, settings, num_rows)]

    return draw


def transformers(folder, precision):
    """generate() of transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    end = model.config.eos_token_id
    model.generation_config.eos_token_id = None

    def draw(num_rows, seed):
        torch.manual_seed(seed)
        prompts = torch.full((num_rows, 1), end)
        with torch.inference_mode():
            rows = model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=True,
                temperature=TEMPERATURE,
                top_p=TOP_P,
                top_k=0,
                min_new_tokens=NUM_TOKENS,
                max_new_tokens=NUM_TOKENS,
                pad_token_id=end,
            )
        return rows[:, 1:].tolist()

    return draw


def ctranslate2(folder, precision):
    """CTranslate2; its top-p looks at the likeliest TOP_K tokens, sorting all makes it slower."""
    import ctranslate2

    end = str(json.loads((folder / "config.json").read_text())["eos_token_id"])
    converted = str(folder / f"ctranslate2-{precision}")
    generator = ctranslate2.Generator(converted, compute_type=precision, intra_threads=THREADS)

    def draw(num_rows, _seed):
        found = generator.generate_batch(
            [[end]] * num_rows,
            min_length=NUM_TOKENS,
            max_length=NUM_TOKENS,
            sampling_topk=TOP_K,
            sampling_topp=TOP_P,
            sampling_temperature=TEMPERATURE,
            include_prompt_in_result=False,
        )
        return [row.sequences_ids[0] for row in found]

    return draw


def openvino(folder, precision):
    """OpenVINO GenAI with paged attention, its default; top-p as in CTranslate2, and why.

    The rows are samples of one prompt: prompts of a batch would all draw with the same seed.
    """
    import openvino_genai
    from openvino import Tensor

    end = json.loads((folder / "config.json").read_text())["eos_token_id"]
    converted = folder / f"openvino-{precision}"
    tokenizer = openvino_genai.Tokenizer(converted)  # an empty one: ids go in, ids come out
    pipeline = openvino_genai.LLMPipeline(
        converted, tokenizer, "CPU", INFERENCE_NUM_THREADS=THREADS
    )

    def draw(num_rows, seed):
        settings = openvino_genai.GenerationConfig(
            num_return_sequences=num_rows,
            max_new_tokens=NUM_TOKENS,
            ignore_eos=True,
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=TOP_K,
            top_p=TOP_P,
            rng_seed=seed,
        )
        return pipeline.generate(Tensor(numpy.array([[end]])), settings).tokens

    return draw


def llamacpp(folder, precision):
    """llama.cpp, from a file of its own; top-p as in CTranslate2, and why."""
    from llamacpp_engine import engine

    return engine(folder, precision)


def speed_of(draw, num_rows):
    """Tokens a second, the median of a few draws after one that is not timed."""
    draw(num_rows, 0)
    seconds = []
    while len(seconds) < MOST_DRAWS and sum(seconds) < ENOUGH_SECONDS:
        start = time.perf_counter()
        rows = draw(num_rows, 1 + len(seconds))
        seconds.append(time.perf_counter() - start)
        assert [len(row) for row in rows] == [NUM_TOKENS] * num_rows
    return num_rows * NUM_TOKENS / statistics.median(seconds)


ENGINES = {
    "tweetgen": tweetgen,
    "transformers": transformers,
    "ctranslate2": ctranslate2,
    "openvino": openvino,
    "llamacpp": llamacpp,
}


def main():
    engine, folder, *sizes = sys.argv[1:]
    name, precision = engine.split("-")
    draw = ENGINES[name](Path(folder), precision)
    speed = {num_rows: speed_of(draw, num_rows) for num_rows in map(int, sizes)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens_per_second": speed, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
