"""Property tests on shared machines: no deadline an example."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
