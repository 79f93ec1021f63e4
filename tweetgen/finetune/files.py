"""The files of one training: model, unfinished state, card, curve, and what older ones left."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from tweetgen import storage
from tweetgen.errors import TweetgenError
from tweetgen.files import check_writable, keep_previous, with_suffix, write_text

# It counts from the training's first run and bends the learning rate; more of it may be wanted.
FREE_TO_CHANGE = {"max_minutes"}


def check_model_path(path: Path) -> None:
    """Raise TweetgenError now if the model could not be written at the end."""
    if path.suffix != ".pt":
        raise TweetgenError(f"{path} does not end in .pt. Name the model file NAME.pt.")
    check_writable(path)


@dataclasses.dataclass(frozen=True)
class Files:
    """Where a training writes, and by what its files are told from those of another one."""

    model: Path
    settings: dict[str, Any]  # all that makes a training what it is, but its data
    fingerprint: str  # of the data

    @property
    def resume(self) -> Path:
        """The last full state; there only while a training is unfinished."""
        return with_suffix(self.model, ".resume.pt")

    def set_aside_unfinished(self) -> Path | None:
        """Keep an unfinished state, once, under another name: that name, or None without one."""
        kept = with_suffix(self.model, ".resume.previous.pt")
        if not keep_previous(self.resume, kept):
            return None
        self.resume.unlink()
        return kept

    def save_state(self, state: dict[str, Any]) -> None:
        """Save all that is needed to go on with the training from here."""
        identity = {"settings": self.settings, "data_fingerprint": self.fingerprint}
        storage.save_resume(self.resume, identity | {"state": state})

    def load_state(self) -> dict[str, Any]:
        """The saved state.

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
        if content["data_fingerprint"] != self.fingerprint:
            raise TweetgenError(
                f"the token file changed since step {state.get('step', 0):,} of {self.resume}. "
                "Give the same --data, or start anew without --resume."
            )
        if changes := self._changes(content["settings"]):
            raise TweetgenError(
                f"cannot resume {self.resume} with other settings: {'; '.join(changes)}. "
                "Use the old values, or start anew without --resume."
            )
        return state

    def is_finished(self) -> bool:
        """Whether the model file is the end of this very training."""
        if self.resume.exists() or not self.model.exists():
            return False
        training = storage.load_model(self.model)["training"]
        return bool(training.get("finished")) and self._is_mine(training)

    def save_model(self, content: dict[str, Any]) -> None:
        """Save a model file; one that was there is kept, unless it is this training's best so far.

        Raises:
            TweetgenError: it cannot be written.
        """
        try:
            earlier = storage.load_model(self.model)["training"]
            is_kept = bool(earlier.get("finished")) or not self._is_mine(earlier)
        except TweetgenError:  # none, or something else: whatever it is, it is kept
            is_kept = True
        if is_kept:
            keep_previous(self.model, with_suffix(self.model, ".previous.pt"))
        storage.save_model(self.model, content)

    def copy_card(self, folder: Path) -> None:
        """Write card and curve into the folder of an export, as its page on the hub."""
        text, picture = (with_suffix(self.model, suffix) for suffix in (".md", ".png"))
        if text.exists():
            write_text(folder / "README.md", text.read_text("utf-8"))
        if picture.exists():
            shutil.copyfile(picture, folder / picture.name)

    def _is_mine(self, training: dict[str, Any]) -> bool:
        is_same_data = training.get("data_fingerprint") == self.fingerprint
        return is_same_data and not self._changes(training.get("settings", {}))

    def _changes(self, old: dict[str, Any]) -> list[str]:
        """What differs from old settings: "learning_rate was 0.001, now 0.002"."""
        return [
            f"{name} was {old.get(name)}, now {self.settings.get(name)}"
            for name in sorted(old.keys() | self.settings.keys())
            if name not in FREE_TO_CHANGE and old.get(name) != self.settings.get(name)
        ]
