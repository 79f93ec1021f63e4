"""The files of one training: model, unfinished state, card, curve, and what older ones left."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetgen import storage
from tweetgen.errors import TweetgenError
from tweetgen.files import check_writable, keep_previous, with_suffix, write_text
from tweetgen.finetune import card, curve

# It counts from the training's first run and bends the learning rate; more of it may be wanted.
FREE_TO_CHANGE = {"max_minutes"}


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Where a training writes, given the path of its model file."""

    model: Path

    @property
    def resume(self) -> Path:
        """The last full state; there only while a training is unfinished."""
        return with_suffix(self.model, ".resume.pt")

    def check(self) -> None:
        """Raise TweetgenError now if the model could not be written at the end."""
        if self.model.suffix != ".pt":
            raise TweetgenError(f"{self.model} does not end in .pt. Name the model file NAME.pt.")
        check_writable(self.model)

    def set_aside_unfinished(self) -> Path | None:
        """Keep an unfinished state, once, under another name: that name, or None without one."""
        kept = with_suffix(self.model, ".resume.previous.pt")
        if not keep_previous(self.resume, kept):
            return None
        self.resume.unlink()
        return kept

    def save_state(self, settings: dict[str, Any], fingerprint: str, state: dict[str, Any]) -> None:
        """Save all that is needed to go on with a training from here."""
        content = {"settings": settings, "data_fingerprint": fingerprint, "state": state}
        storage.save_resume(self.resume, content)

    def load_state(self, settings: dict[str, Any], fingerprint: str) -> dict[str, Any]:
        """The saved state, if it is of this data and these settings.

        Raises:
            TweetgenError: no state was saved, or it belongs to another training.
        """
        if not self.resume.exists():
            raise TweetgenError(
                f"no checkpoint at {self.resume}: no unfinished training has saved its state yet. "
                "Start it with the same command without --resume."
            )
        content = storage.load_resume(self.resume)
        state: dict[str, Any] = content["state"]
        if content["data_fingerprint"] != fingerprint:
            raise TweetgenError(
                f"the token file changed since step {state.get('step', 0):,} of {self.resume}. "
                "Give the same --data, or start anew without --resume."
            )
        changes = _changes(content["settings"], settings)
        if changes:
            raise TweetgenError(
                f"cannot resume {self.resume} with other settings: {'; '.join(changes)}. "
                "Use the old values, or start anew without --resume."
            )
        return state

    def is_finished(self, settings: dict[str, Any], fingerprint: str) -> bool:
        """Whether the model file is the end of this very training."""
        if self.resume.exists() or not self.model.exists():
            return False
        training = storage.load_model(self.model)["training"]
        return bool(training.get("finished")) and _is_same(training, settings, fingerprint)

    def save_model(self, content: dict[str, Any]) -> None:
        """Save a model file; the one that was there is kept, unless it is of this training."""
        training = content["training"]
        if not self._is_unfinished(training["settings"], training["data_fingerprint"]):
            keep_previous(self.model, with_suffix(self.model, ".previous.pt"))
        storage.save_model(self.model, content)

    def save_finished(self, content: dict[str, Any]) -> None:
        """Save the model and its loss curve, and drop the unfinished state."""
        self.save_model(content)
        self.resume.unlink(missing_ok=True)  # from here on the training is finished
        curve.draw(with_suffix(self.model, ".png"), content["training"])

    def save_card(self, training: dict[str, Any], samples: Sequence[str], evaluation: str) -> None:
        """Save the card of the finished model."""
        text = card.card(training, self.model, samples, evaluation)
        write_text(with_suffix(self.model, ".md"), text)

    def copy_card(self, folder: Path) -> None:
        """Write card and curve into the folder of an export, as its page on the hub."""
        text = with_suffix(self.model, ".md")
        if text.exists():
            write_text(folder / "README.md", text.read_text("utf-8"))
        picture = with_suffix(self.model, ".png")
        if picture.exists():
            shutil.copyfile(picture, folder / picture.name)

    def _is_unfinished(self, settings: dict[str, Any], fingerprint: str) -> bool:
        """Whether the model file is the best so far of this very training."""
        if not self.model.exists():
            return False
        try:
            training = storage.load_model(self.model)["training"]
        except TweetgenError:  # whatever it is, it is kept
            return False
        return not training.get("finished") and _is_same(training, settings, fingerprint)


def _is_same(training: dict[str, Any], settings: dict[str, Any], fingerprint: str) -> bool:
    same_data = training.get("data_fingerprint") == fingerprint
    return same_data and not _changes(training.get("settings", {}), settings)


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs, one phrase each: "learning_rate was 0.001, now 0.002"."""
    return [
        f"{name} was {old.get(name)}, now {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if name not in FREE_TO_CHANGE and old.get(name) != new.get(name)
    ]
