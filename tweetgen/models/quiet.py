"""The transformers package, kept quiet."""

import os
import warnings
from typing import Any

from tweetgen.errors import first_line as first_line  # moved: until its callers have followed


def quiet_transformers() -> Any:
    """The transformers package, without its progress bars and load reports."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with warnings.catch_warnings(action="ignore"):
        import transformers
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers
