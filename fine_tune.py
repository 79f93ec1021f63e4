"""Fine-tune a pre-trained model on tweets: data/processed.pkl -> models/fine_tuned_model.pt.

    python fine_tune.py --data data/processed.pkl --epochs 10 --batch_size 16

The model file holds all that generate.py needs; its card (.md) and loss curve (.png) lie beside it.
An interrupted training goes on with --resume. Under torchrun several processes train together.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING

from tweetgen import console
from tweetgen.device import limit_spinning
from tweetgen.files import check_writable
from tweetgen.settings import TrainingSettings
from tweetgen.signals import held, stop_requests

if TYPE_CHECKING:
    from tweetgen.finetune.job import FineTuning


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags; usage errors end the program."""
    parser = console.Parser("fine_tune", (__doc__ or "").split("\n")[0])
    add = parser.add_argument
    minutes = console.number(float, above=0)
    add("--data", default="data/processed.pkl", help="token file of preprocess.py")
    add("--output_path", default="models/fine_tuned_model.pt", help="model file to write")
    add(
        "--model",
        default="",
        help="folder, hub name, .gguf or model file (default: as the data says)",
    )
    add("--resume", action="store_true", help="go on with the interrupted training")
    add("--save_minutes", type=minutes, default=10.0, metavar="N", help="save the state this often")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--log_path", default="", help="append a JSON line for each step to this file")
    add("--export_path", default="", help="also write a folder that other programs load")
    add(
        "--export_format",
        nargs="+",
        default=["transformers"],
        choices=("transformers", "peft", "gguf", "gguf-q8_0"),
        help="what to write there; of several, each gets a folder in it (default: transformers)",
    )
    console.add_settings(parser, TrainingSettings)
    arguments: argparse.Namespace = parser.parse_args(argv)
    return arguments


@console.command("fine_tune")
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parse(argv)
    limit_spinning()
    if arguments.export_path:
        check_writable(Path(arguments.export_path, "README.md"))
    if arguments.log_path:
        check_writable(arguments.log_path)
    with held():
        from tweetgen.finetune.job import FineTuning
        from tweetgen.training.ranks import ranks
    with ranks() as group:
        with group.together():
            job = FineTuning(
                arguments.data,
                arguments.output_path,
                console.settings_from(arguments, TrainingSettings),
                model=arguments.model,
                device=arguments.device,
                ranks=group,
                export_formats=arguments.export_format if arguments.export_path else (),
            )
            is_new = job.begin(arguments.resume)
        if is_new:
            job.say(job.describe())
            if exit_code := train(job, arguments, is_shown=group.is_first):
                return exit_code
            job.finish()
        else:
            job.say(f"{arguments.output_path} is this training, finished: nothing to do.")
        if arguments.export_path:
            job.export(arguments.export_path, arguments.export_format)
    return 0


def train(job: "FineTuning", arguments: argparse.Namespace, *, is_shown: bool) -> int:
    """Train to the end, or save and return the exit code of the signal that ended it."""
    from tweetgen.finetune.progress import Progress
    from tweetgen.training import ValidationReport

    shown = closing(Progress(job.training, arguments.log_path, is_shown))
    with stop_requests() as stop, shown as progress:
        for report in job.training.run(stop):
            progress.show(report)
            is_validation = isinstance(report, ValidationReport)
            # Before the first step there is nothing to lose, and much to write.
            if report.step and (
                is_validation or job.minutes_since_save() >= arguments.save_minutes
            ):
                job.save_state()
            if is_validation:
                job.say(f"  sample: {job.sample()}")
        if job.training.is_complete:
            return 0
        job.stop()
    return stop.exit_code or 128 + SIGTERM  # of another rank


if __name__ == "__main__":
    sys.exit(main())
