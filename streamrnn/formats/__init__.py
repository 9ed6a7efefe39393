"""Other people's models, read into plain arrays and a description; no code in a file is run."""


class FormatError(ValueError):
    """A file or mapping is not what it should be: where, what was expected, what came."""
