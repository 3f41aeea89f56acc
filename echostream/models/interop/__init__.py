"""Checkpoints of public StreamSpeech: what they hold, where they point to, what is taken of them."""
