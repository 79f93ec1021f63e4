"""llama.cpp as an engine: GPT-2 as a GGUF file, and rows drawn as sequences of one batch."""

import functools
import json

import numpy
from engines import NUM_TOKENS, TEMPERATURE, THREADS, TOP_K, TOP_P

# What a GGUF file calls GPT-2's weights
OUTER_NAMES = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
LAYER_NAMES = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def gguf_name(name):
    """A weight's name there: "h.3.mlp.c_fc.bias" -> "blk.3.ffn_up.bias"."""
    path, kind = name.rsplit(".", 1)
    if path in OUTER_NAMES:
        return f"{OUTER_NAMES[path]}.{kind}"
    _, layer, part = path.split(".", 2)
    return f"blk.{layer}.{LAYER_NAMES[part]}.{kind}"


def write_model(folder, output, precision):
    """A GGUF file without a vocabulary, whose matrices have this precision."""
    import gguf
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(output / "model.gguf", "gpt2")
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config.vocab_size)
    for name, weight in model.transformer.state_dict().items():
        numbers = weight.numpy()
        number_type = gguf.GGMLQuantizationType.F32
        if numbers.ndim == 2 and name != "wpe.weight":
            number_type = gguf.GGMLQuantizationType[precision.upper()]
            # transformers keeps the layers' matrices the other way round
            numbers = numbers.T if name.startswith("h.") else numbers
        data = gguf.quants.quantize(numbers, number_type)
        writer.add_tensor(gguf_name(name), data, raw_dtype=number_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def context_for(model, num_rows):
    """A context with a sequence for each row, and the batch that has one token of each."""
    import llama_cpp

    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = num_rows * NUM_TOKENS
    settings.n_batch = settings.n_ubatch = settings.n_seq_max = num_rows
    settings.n_threads = settings.n_threads_batch = THREADS
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(num_rows, 0, 1)
    batch.n_tokens = num_rows
    for row in range(num_rows):
        batch.n_seq_id[row], batch.seq_id[row][0], batch.logits[row] = 1, row, True
    return context, batch


def sampler_for(seed):
    """Draws a token from what is left of the likeliest TOP_K after top-p."""
    import llama_cpp

    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for part in (
        llama_cpp.llama_sampler_init_top_k(TOP_K),
        llama_cpp.llama_sampler_init_temp(TEMPERATURE),
        llama_cpp.llama_sampler_init_top_p(TOP_P, 1),
        llama_cpp.llama_sampler_init_dist(seed),
    ):
        llama_cpp.llama_sampler_chain_add(chain, part)
    return chain


def engine(folder, precision):
    """llama.cpp; top-p as in CTranslate2, and why."""
    import llama_cpp

    path = str(folder / f"llamacpp-{precision}" / "model.gguf").encode()
    model = llama_cpp.llama_model_load_from_file(path, llama_cpp.llama_model_default_params())
    end = json.loads((folder / "config.json").read_text())["eos_token_id"]
    contexts = functools.cache(functools.partial(context_for, model))

    def draw(num_rows, seed):
        context, batch = contexts(num_rows)
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), False)
        sampler = sampler_for(seed)
        tokens = numpy.ctypeslib.as_array(batch.token, (num_rows,))
        places = numpy.ctypeslib.as_array(batch.pos, (num_rows,))
        tokens[:] = end
        drawn = []
        for place in range(NUM_TOKENS):
            places[:] = place
            assert llama_cpp.llama_decode(context, batch) == 0
            tokens[:] = [
                llama_cpp.llama_sampler_sample(sampler, context, row) for row in range(num_rows)
            ]
            drawn.append(tokens.tolist())
        llama_cpp.llama_sampler_free(sampler)
        return list(zip(*drawn, strict=True))

    return draw
