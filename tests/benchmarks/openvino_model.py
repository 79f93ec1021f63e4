"""A GPT-2 folder as OpenVINO GenAI reads it: a model that keeps its keys and values itself.

Its usual exporter, optimum-intel, wants an older huggingface_hub than the other peers.
"""

import numpy
import openvino
import torch
from openvino import opset13, passes
from transformers import GPT2LMHeadModel
from transformers.cache_utils import DynamicCache

INPUTS = ("input_ids", "attention_mask", "position_ids", "beam_idx")


class Traced(torch.nn.Module):
    """GPT-2 with its cache as plain tensors, in and out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, position_ids, beam_idx, past):
        """Logits, then keys and values of each layer."""
        cache = DynamicCache(config=self.model.config)
        for layer, keys, values in zip(cache.layers, past[::2], past[1::2], strict=True):
            layer.lazy_initialization(keys, values)
            layer.keys = keys.index_select(0, beam_idx)
            layer.values = values.index_select(0, beam_idx)
        places = torch.arange(attention_mask.shape[1])
        causal = (places <= places[:, None])[-input_ids.shape[1] :]
        logits = self.model(
            input_ids,
            attention_mask=causal[None, None] & attention_mask[:, None, None].bool(),
            position_ids=position_ids,
            past_key_values=cache,
        ).logits
        return logits, *(state for layer in cache.layers for state in (layer.keys, layer.values))


def convert(folder):
    """The model of a folder, with the inputs and states that GenAI expects."""
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    config = model.config
    width = config.n_embd // config.n_head
    past = [torch.zeros(2, config.n_head, 3, width) for _ in range(2 * config.n_layer)]
    ids = torch.ones(2, 2, dtype=torch.long)
    mask = torch.ones(2, 5, dtype=torch.long)
    example = (ids, mask, ids, torch.arange(2, dtype=torch.int32), past)
    with torch.inference_mode():
        converted = openvino.convert_model(Traced(model), example_input=example)
    for place, name in enumerate(INPUTS):
        converted.input(place).get_tensor().set_names({name})
    converted.output(0).get_tensor().set_names({"logits"})
    states = [place.get_node() for place in converted.inputs[len(INPUTS) :]]
    for state in states:
        state.set_partial_shape(openvino.PartialShape([-1, config.n_head, -1, width]))
    converted.validate_nodes_and_infer_types()
    keep_states(converted, states)
    return converted


def keep_states(model, parameters):
    """Make these inputs, and all outputs but the first, states that begin empty."""
    results = [place.get_node() for place in model.outputs[1:]]
    manager = passes.Manager()
    manager.register_pass(passes.MakeStateful(list(zip(parameters, results, strict=True))))
    manager.run_passes(model)
    rows = opset13.gather(opset13.shape_of(model.input("input_ids")), [0], 0)
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            _, heads, _, width = node.get_output_partial_shape(0)
            rest = numpy.array([heads.get_length(), 0, width.get_length()])
            shape = opset13.concat([rows, opset13.constant(rest)], 0)
            node.set_arguments([opset13.broadcast(numpy.float32(0), shape)])
    model.validate_nodes_and_infer_types()
