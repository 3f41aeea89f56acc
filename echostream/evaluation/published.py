"""Published results of StreamSpeech on CVSS-C, for users whose data are these.

Source: StreamSpeech (Zhang et al., ACL 2024); latency and quality are read off the plots of the paper.
"""

from collections.abc import Mapping

LABEL = "StreamSpeech, published (CVSS-C; read off the paper's plots)"

IDEAL: Mapping[str, Mapping[str, tuple[tuple[float, float], ...]]] = {
    "fr-en": {
        "s2st": ((1276, 22.89), (2323, 24.42), (3146, 25.21), (4865, 26.13)),
        "s2tt": ((573, 27.83), (1030, 28.58), (1736, 29.24), (5685, 29.63)),
        "asr": ((109, 25.46), (758, 24.67)),
    },
}
"""By pair of languages and task: AL in ms, and ASR-BLEU, BLEU or WER."""

AWARE: Mapping[str, Mapping[str, tuple[tuple[float, float], ...]]] = {
    "fr-en": {"s2st": ((2195, 22.89),)},
}
"""The same with computation-aware AL."""
