from tweetgen.training.loop import Training
from tweetgen.training.reports import StepReport, ValidationReport

__all__ = ["StepReport", "Training", "ValidationReport"]
