"""The one exception that means: the user can fix this."""


class TweetgenError(Exception):
    """A fault in the input or the machine, told to the user as one line: what, where, what to do.

    Every other exception that reaches the user is a bug in tweetgen.
    """
