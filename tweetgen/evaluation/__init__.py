from tweetgen.evaluation.compare import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
