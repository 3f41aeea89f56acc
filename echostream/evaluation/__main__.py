"""The same as `echostream-eval`: `python -m echostream.evaluation --help`."""

from echostream.evaluation.cli import main

main()
