"""EchoStream, a fairseq extension: importing it registers its models, tasks and criterions."""

__version__ = "0.1.0"
