"""EchoStream, a fairseq extension: importing it registers its models, tasks and criterions."""

from echostream import compat

compat.apply()  # fairseq is repaired before anything is registered with it

from echostream import criterions, models, tasks

__version__ = "0.1.0"

__all__ = ["__version__", "compat", "criterions", "models", "tasks"]
