"""`simuleval` with the repairs made: `python -m echostream.evaluation [simuleval's options]`."""

from simuleval.cli import main

main()
