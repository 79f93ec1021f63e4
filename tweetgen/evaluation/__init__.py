from tweetgen.evaluation.measures import evaluate

__all__ = ["evaluate"]
