"""Simultaneous inference: a session per utterance stream over a model that sessions share."""
