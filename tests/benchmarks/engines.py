"""Draw texts with one engine and print its speed; run by the python that has the engine.

    python engines.py ENGINE MODEL_FOLDER [NUM_ROWS ...]

Every row gets NUM_TOKENS tokens, all of them drawn with the same temperature and top-p. Without a
number of rows, it draws one row and ends: what is timed then is the process, from a cold start.
--convert only writes what the engine reads into MODEL_FOLDER. Prints one line of JSON: tokens a
second for each number of rows, loading not counted, and peak memory.
"""

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NUM_TOKENS = 32  # a tweet has 25
TEMPERATURE, TOP_P = 0.9, 0.9
TOP_K = 200  # of the engines whose top-p sorts all tokens otherwise, which makes them slower
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
MOST_DRAWS = 3  # of each size, so that a neighbour's hiccup does not decide
ENOUGH_SECONDS = 2  # of one size: a slow engine is drawn from fewer times


def start_token(folder):
    """What every row begins with: a marker of chats or code that no text has, else the end."""
    config = json.loads((folder / "config.json").read_text())
    return 3 if config["model_type"] == "llama" else config["eos_token_id"]


def tweetgen(folder, precision):
    """This project's engine; the context ends after NUM_TOKENS, and so do all drafts."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    from tweetgen import models
    from tweetgen.generation import drawing
    from tweetgen.settings import SamplingSettings
    from tweetgen.tokenizer import encoder

    found = models.load_pretrained(str(folder))
    config = json.loads(models.config_json_of(found.model))
    length = "n_positions" if config["model_type"] == "gpt2" else "max_position_embeddings"
    config[length] = NUM_TOKENS
    weights = models.weights_of(found.model)
    weights = {name: cut_positions(name, weight) for name, weight in weights.items()}
    if config["model_type"] == "gpt2":  # the end is its only marker: never drawn
        weights["transformer.wte.weight"][found.eos_token_id] = 0
    model_file = {
        "config_json": json.dumps(config),
        "weights": weights,
        "tokenizer_json": found.tokenizer_json,
        "eos_token_id": start_token(folder),
        "training": {},
        "originality": {},
    }
    model = drawing.load(model_file, "cpu", precision)
    tokenizer = encoder(found.tokenizer_json)

    def draw(num_rows, seed):
        settings = SamplingSettings(
            temperature=TEMPERATURE, top_p=TOP_P, batch_size=num_rows, seed=seed
        )
        drafts = drawing.first_drafts(model, settings, num_rows)
        assert not any(draft.finished for draft in drafts)
        # Encoded again a text can have a few tokens less than were drawn.
        rows = [tokenizer.encode(draft.text, add_special_tokens=False).ids for draft in drafts]
        assert sum(map(len, rows)) > num_rows * NUM_TOKENS / 2
        return [[0] * NUM_TOKENS for _ in drafts]

    return draw


def cut_positions(name, weight):
    """GPT-2's table of positions ends with its context."""
    return weight[:NUM_TOKENS].clone() if name == "transformer.wpe.weight" else weight


def transformers(folder, precision):
    """generate() of transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(THREADS)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.generation_config.eos_token_id = None
    start = start_token(folder)

    def draw(num_rows, seed):
        torch.manual_seed(seed)
        prompts = torch.full((num_rows, 1), start)
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
                pad_token_id=start,
            )
        return rows[:, 1:].tolist()

    return draw


def ctranslate2_folder(folder, precision):
    """CTranslate2's own folder, written where it is missing; tokens are named by their numbers."""
    output = folder / f"ctranslate2-{precision}"
    if not output.is_dir():
        from ctranslate2.converters.transformers import GPT2Loader, LlamaLoader
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        loader = LlamaLoader() if model.config.model_type == "llama" else GPT2Loader()
        spec = loader.get_model_spec(model)
        spec.register_vocabulary([str(number) for number in range(model.config.vocab_size)])
        end = str(model.config.eos_token_id)
        spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = end
        spec.validate()
        spec.optimize(quantization=precision)
        output.mkdir()
        spec.save(str(output))
    return output


def ctranslate2(folder, precision):
    """CTranslate2; its top-p looks at the likeliest TOP_K tokens, sorting all makes it slower."""
    converted = str(ctranslate2_folder(folder, precision))
    import ctranslate2

    generator = ctranslate2.Generator(converted, compute_type=precision, intra_threads=THREADS)
    start = str(start_token(folder))

    def draw(num_rows, _seed):
        found = generator.generate_batch(
            [[start]] * num_rows,
            min_length=NUM_TOKENS,
            max_length=NUM_TOKENS,
            sampling_topk=TOP_K,
            sampling_topp=TOP_P,
            sampling_temperature=TEMPERATURE,
            include_prompt_in_result=False,
        )
        return [row.sequences_ids[0] for row in found]

    return draw


def gguf_file(folder, precision):
    """The folder's GGUF file as it came (q4), or the same with matrices of another format."""
    source, target = folder / "q4.gguf", folder / f"{precision}.gguf"
    if not target.is_file():
        requantize(source, target, precision)
    return target


def requantize(source, target, precision):
    """Write a GGUF file again, its matrices in another format; all else stays."""
    import gguf

    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in writer.kv_data[0]:
            parts = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], parts)
    number_type = gguf.GGMLQuantizationType[precision.upper()]
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if len(tensor.shape) == 2:
            data = gguf.quants.quantize(gguf.quants.dequantize(data, kind), number_type)
            kind = number_type
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def openvino(folder, precision):
    """OpenVINO GenAI, from the GGUF file or what it made of that before; top-p as in CTranslate2.

    The rows are samples of one prompt: prompts of a batch would all draw with the same seed.
    """
    import numpy
    import openvino_genai
    from openvino import Tensor

    path = gguf_file(folder, precision)
    options = {"INFERENCE_NUM_THREADS": THREADS, "CACHE_DIR": str(folder / "openvino-cache")}
    pipeline = openvino_genai.LLMPipeline(str(path), "CPU", **options)
    start = start_token(folder)

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
        return pipeline.generate(Tensor(numpy.array([[start]])), settings).tokens

    return draw


def llamacpp(folder, precision):
    """llama.cpp's server inside this process, a slot for each row; top-p as in CTranslate2."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(gguf_file(folder, precision))
    settings.n_parallel, settings.cont_batching = 64, True
    settings.n_ctx = 64 * 2 * NUM_TOKENS
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = THREADS
    settings.warmup = False
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    start = start_token(folder)

    def row(seed):
        found = server.handle_completions(
            {
                "prompt": [start],
                "max_tokens": NUM_TOKENS,
                "n_predict": NUM_TOKENS,
                "ignore_eos": True,
                "cache_prompt": False,
                "temperature": TEMPERATURE,
                "top_k": TOP_K,
                "top_p": TOP_P,
                "min_p": 0.0,
                "seed": seed,
            }
        )
        return [0] * found["usage"]["completion_tokens"]

    def draw(num_rows, seed):
        with ThreadPoolExecutor(num_rows) as pool:
            return list(pool.map(row, range(1000 * seed + 1, 1000 * seed + 1 + num_rows)))

    return draw


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
    flags = argparse.ArgumentParser()
    flags.add_argument("engine", help="name and number format: ctranslate2-int8")
    flags.add_argument("folder", type=Path)
    flags.add_argument("num_rows", nargs="*", type=int)
    flags.add_argument("--convert", action="store_true")
    arguments = flags.parse_args()
    name, precision = arguments.engine.split("-")
    draw = ENGINES[name](arguments.folder, precision)
    if arguments.convert:
        end()
    if not arguments.num_rows:
        draw(1, 0)
    speed = {num_rows: speed_of(draw, num_rows) for num_rows in arguments.num_rows}
    # Not ru_maxrss, in which the memory of the process that started this one is left.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    print(json.dumps({"tokens_per_second": speed, "peak_bytes": peak}), flush=True)
    end()


def end():
    """End at once: the threads of llama.cpp's server sometimes wait for one another for ever."""
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
