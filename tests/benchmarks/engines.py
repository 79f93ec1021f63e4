"""Draw texts with one engine and print its speed; run by the python that has the engine.

    python engines.py ENGINE MODEL_FOLDER NUM_ROWS [NUM_ROWS ...]

Every row gets NUM_TOKENS tokens, all of them drawn with the same temperature and top-p. Prints one
line of JSON: tokens a second for each number of rows, loading not counted, and peak memory.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

NUM_TOKENS = 32  # a tweet has 25
TEMPERATURE, TOP_P = 0.9, 0.9


def tweetgen(folder, precision):
    """This project's engine; the folder's context ends after NUM_TOKENS, and so do all drafts."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    from safetensors.torch import load_file

    from tweetgen import sampling
    from tweetgen.settings import SamplingSettings

    config = json.loads((folder / "config.json").read_text())
    model_file = {
        "config_json": json.dumps(config),
        "weights": load_file(folder / "model.safetensors"),
        "tokenizer_json": (folder / "tokenizer.json").read_text("utf-8"),
        "eos_token_id": config["eos_token_id"],
        "originality": {},
    }
    sampling.use_threads_for(model_file)
    model = sampling.load(model_file, "cpu", precision)

    def draw(num_rows, seed):
        settings = SamplingSettings(
            temperature=TEMPERATURE, top_p=TOP_P, batch_size=num_rows, max_length=0, seed=seed
        )
        assert not any(d.finished for d in sampling.first_drafts(model, settings, num_rows))

    return draw


def transformers(folder, precision):
    """generate() of transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.generation_config.eos_token_id = None

    def draw(num_rows, seed):
        torch.manual_seed(seed)
        prompts = torch.full((num_rows, 1), model.config.eos_token_id)
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
                pad_token_id=model.config.eos_token_id,
            )
        assert rows.shape == (num_rows, 1 + NUM_TOKENS)

    return draw


def ctranslate2(folder, precision):
    """CTranslate2; its top-p looks at the likeliest 200 tokens, sorting all makes it slower."""
    import ctranslate2
    from ctranslate2.converters.transformers import GPT2Loader
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder)
    spec = GPT2Loader().get_model_spec(model)
    spec.register_vocabulary([str(number) for number in range(model.config.vocab_size)])
    end = str(model.config.eos_token_id)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = end
    spec.validate()
    spec.optimize(quantization=precision)
    with tempfile.TemporaryDirectory() as converted:
        spec.save(converted)
        generator = ctranslate2.Generator(converted, compute_type=precision, intra_threads=2)

    def draw(num_rows, _seed):
        found = generator.generate_batch(
            [[end]] * num_rows,
            min_length=NUM_TOKENS,
            max_length=NUM_TOKENS,
            sampling_topk=200,
            sampling_topp=TOP_P,
            sampling_temperature=TEMPERATURE,
            include_prompt_in_result=False,
        )
        assert all(len(row.sequences_ids[0]) == NUM_TOKENS for row in found)

    return draw


def main():
    engine, folder, *sizes = sys.argv[1:]
    name, precision = engine.split("-")
    draw = {"tweetgen": tweetgen, "transformers": transformers, "ctranslate2": ctranslate2}[name](
        Path(folder), precision
    )
    draw(2, 0)
    speed = {}
    for number, num_rows in enumerate(map(int, sizes), 1):
        start = time.perf_counter()
        draw(num_rows, number)
        speed[num_rows] = num_rows * NUM_TOKENS / (time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens_per_second": speed, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
