"""Signals and symbols for tests of sessions."""

import numpy as np

from echostream.data.audio import Samples

TEXT_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>", "▁a", "b", "▁c", "d", "▁e", "f", "▁g", "h")


def noise(num_samples: int, seed: int = 0) -> Samples:
    """Noise whose loudness changes, so that the heads change their mind."""
    generator = np.random.default_rng(seed)
    loudness = np.repeat(generator.uniform(0.001, 0.5, num_samples // 800 + 1), 800)[:num_samples]
    return (generator.standard_normal(num_samples) * loudness).astype(np.float32)
