"""What a person sees while a model trains: a progress bar, a line for each validation, a log."""

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tweetgen import console
from tweetgen.errors import TweetgenError
from tweetgen.finetune.card import perplexity
from tweetgen.training import StepReport, Training, ValidationReport

STEPS_TO_TIME = 10  # after so many steps of a run it is said how long an epoch takes


class Progress:
    """Shows the reports of a training; silent where `is_shown` is false: on all ranks but one."""

    def __init__(self, training: Training, log_path: str, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._log: Any = _opened_log(log_path) if log_path and is_shown else None
        self._training = training
        self._tokens, self._steps, self._seconds = 0, 0, 0.0  # of the steps that were timed
        self._since: float | None = None  # the end of the step before, if it was a step
        self._bar = tqdm(
            total=training.total_steps,
            initial=training.position.step,
            unit="step",
            disable=not is_shown,
            dynamic_ncols=True,
        )

    def close(self) -> None:
        """Leave the terminal to others."""
        self._bar.close()
        if self._log:
            self._log.close()

    def show(self, report: StepReport | ValidationReport) -> None:
        """Show one report."""
        if not self._is_shown:
            return
        if isinstance(report, ValidationReport):
            console.say(validation_line(report))
            self._since = None
            return
        self._bar.set_postfix_str(f"loss {report.loss:.3f}{self._timed(report)}", refresh=False)
        self._bar.update()
        if self._log:
            self._write(report)

    def _timed(self, report: StepReport) -> str:
        """The speed, validations and samples left out; says once how long an epoch takes."""
        since, self._since = self._since, report.seconds
        if since is None:
            return ""
        self._tokens += report.tokens
        self._seconds += report.seconds - since
        self._steps += 1
        if self._steps == STEPS_TO_TIME:
            epoch = duration(self._seconds / self._steps * self._training.steps_per_epoch)
            console.say(f"an epoch takes about {epoch}; Ctrl-C keeps the best so far")
        return f", {self._tokens / max(self._seconds, 1e-9):,.0f} tokens/s"

    def _write(self, report: StepReport) -> None:
        """Add a step to the log; a log that cannot be written ends, the training does not."""
        try:
            self._log.write(json.dumps(dataclasses.asdict(report)) + "\n")
            self._log.flush()
        except OSError as error:
            console.say(f"the log ends here: cannot write {self._log.name} ({error.strerror})")
            with suppress(OSError):
                self._log.close()
            self._log = None


def duration(seconds: float) -> str:
    """A time as a person says it: 42 -> "42 seconds", 258 -> "4.3 minutes"."""
    if seconds < 60:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"


def validation_line(report: ValidationReport) -> str:
    """One validation as a line: where, loss, perplexity, bits per character, whether the best."""
    place = "before training"
    if report.step:
        place = f"epoch {report.epoch:5.2f}  step {report.step:6,d}"
    line = f"{place:<25}"
    if report.training_loss is not None:
        line += f"  training loss {report.training_loss:.3f}"
    if report.loss is None or report.bits_per_character is None:
        return line
    return (
        f"{line}  validation loss {report.loss:.3f}  perplexity {perplexity(report.loss):7,.1f}"
        f"  bits per character {report.bits_per_character:.3f}{'  best' if report.is_best else ''}"
    )


def _opened_log(path: str) -> Any:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise TweetgenError(
            f"cannot write {path} ({error.strerror}). Choose another --log_path."
        ) from error
