"""The transformers package, kept quiet."""

import os
import warnings
from typing import Any


def quiet_transformers() -> Any:
    """The transformers package, without its progress bars and load reports."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with warnings.catch_warnings(action="ignore"):
        import transformers
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line with a full stop."""
    return (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".") + "."
