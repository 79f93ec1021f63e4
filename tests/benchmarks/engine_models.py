"""Write a model folder as an engine reads it, in the numbers it will multiply.

    python engine_models.py ENGINE MODEL_FOLDER

The result is MODEL_FOLDER/ENGINE. Run by the python that has the engine.
"""

import shutil
import sys
from pathlib import Path


def ctranslate2(folder, output, precision):
    """CTranslate2's own folder; tokens are named by their numbers."""
    from ctranslate2.converters.transformers import GPT2Loader
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder)
    spec = GPT2Loader().get_model_spec(model)
    spec.register_vocabulary([str(number) for number in range(model.config.vocab_size)])
    end = str(model.config.eos_token_id)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = end
    spec.validate()
    spec.optimize(quantization=precision)
    spec.save(str(output))


def openvino(folder, output, precision):
    """OpenVINO's model, with weights of 8 bits as NNCF makes them, or as they are."""
    import nncf
    import openvino
    from openvino_model import convert

    model = convert(folder)
    if precision == "int8":
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(model, output / "openvino_model.xml", compress_to_fp16=False)
    for name in ("config.json", "generation_config.json"):
        shutil.copy(folder / name, output)


def llamacpp(folder, output, precision):
    """A GGUF file."""
    from llamacpp_engine import write_model

    write_model(folder, output, precision)


CONVERTERS = {"ctranslate2": ctranslate2, "openvino": openvino, "llamacpp": llamacpp}


def main():
    engine, folder = sys.argv[1:]
    name, precision = engine.split("-")
    output = Path(folder, engine)
    output.mkdir()
    CONVERTERS[name](Path(folder), output, precision)


if __name__ == "__main__":
    main()
