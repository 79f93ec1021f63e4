from tweetgen.training.loop import StepReport, Training, ValidationReport

__all__ = ["StepReport", "Training", "ValidationReport"]
