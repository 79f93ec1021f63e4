"""Fine-tune a pre-trained model on tweets: data/processed.pkl -> models/fine_tuned_model.pt.

    python fine_tune.py --data data/processed.pkl --epochs 10 --batch_size 16

The model file holds all that generate.py needs; its card (.md) and loss curve (.png) lie beside it.
An interrupted training goes on with --resume. Under torchrun several processes train together.
"""

import argparse
import sys
from pathlib import Path
from signal import SIGTERM

from tweetgen import console
from tweetgen.device import limit_spinning
from tweetgen.files import check_writable
from tweetgen.settings import TrainingSettings
from tweetgen.signals import held, stop_requests


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
    add("--export_path", default="", help="also write a folder that transformers loads")
    console.add_settings(parser, TrainingSettings)
    arguments: argparse.Namespace = parser.parse_args(argv)
    return arguments


@console.command("fine_tune")
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parse(argv)
    settings = console.settings_from(arguments, TrainingSettings)
    limit_spinning()
    if arguments.export_path:
        check_writable(Path(arguments.export_path, "config.json"))
    if arguments.log_path:
        check_writable(arguments.log_path)
    with held():
        from tweetgen.finetune.job import FineTuning
        from tweetgen.finetune.progress import Progress
        from tweetgen.training import ValidationReport
        from tweetgen.training.ranks import ranks

    with ranks() as group:
        with group.together():
            job = FineTuning(
                arguments.data,
                arguments.output_path,
                settings,
                model=arguments.model,
                device=arguments.device,
                ranks=group,
            )
            if arguments.resume and job.is_finished():
                job.say(f"{arguments.output_path} is this training, finished: nothing to do.")
                if arguments.export_path:
                    job.export(arguments.export_path)
                return 0
            if arguments.resume:
                job.resume()
            else:
                job.set_aside_unfinished()
        job.say(job.describe())
        with (
            stop_requests() as stop,
            Progress(job.training, arguments.log_path, is_shown=group.is_first) as progress,
        ):
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
            if not job.training.is_complete:
                job.stop()
                return stop.exit_code or 128 + SIGTERM  # of another rank
        job.finish()
        if arguments.export_path:
            job.export(arguments.export_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
