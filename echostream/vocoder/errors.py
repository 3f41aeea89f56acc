"""What can go wrong in the vocoder, as one exception family."""


class VocoderError(ValueError):
    """A vocoder config, checkpoint, unit sequence or training item that cannot be used as it is."""
