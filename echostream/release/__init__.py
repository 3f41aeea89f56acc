"""A trained model packed into a small folder that can be shipped: `python -m echostream.release --help`."""
