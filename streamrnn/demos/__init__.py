"""What `streamrnn demo` shows: each module has a title, a rule for its streams, and their source.

Needs neither a network nor anything that is not in the package.
"""

from streamrnn.demos import code, host, office, weather

ALL = (host, weather, office, code)
