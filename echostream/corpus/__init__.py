"""Tools that make an EchoStream corpus from recordings or a grammar; `corpus.mini` runs them all."""
