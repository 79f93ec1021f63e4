"""The one exception that means: the user can fix this."""


class TweetgenError(Exception):
    """A fault in the input or the machine, told to the user as one line: what, where, what to do.

    Every other exception that reaches the user is a bug in tweetgen.
    """


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line that ends in one full stop."""
    return (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".") + "."
