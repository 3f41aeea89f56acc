"""Repairs of other packages, in one place: each with the version it is for, its symptom and a test.

- `apply()`, loading (fairseq 0.12.x, torch >= 2.6): checkpoints are refused, since they hold an
  `argparse.Namespace`, and a corrupt file gives a traceback without its name. Can go when fairseq
  registers its own safe globals.
- `apply()`, `parse_args_and_arch` (fairseq 0.12.x): `--bf16` switches to TPU mode and crashes. Can go when
  `fairseq/options.py` stops setting `args.tpu`.
- `apply()`, `_broadcast_object_slow` (fairseq 0.12.x, torch >= 2.6): resuming with several processes fails
  on every rank but the first. Can go when fairseq broadcasts with an allow-list.
- `apply()`, `PathManager.copy` (fairseq 0.12.x): a run that is killed while it saves leaves half a
  `checkpoint_last.pt`. Can go when fairseq copies checkpoints by renaming.
- `apply()`, `call_main` (fairseq 0.12.x): processes that torchrun starts on CPU train alone, into one folder.
  Can go when fairseq joins torchrun's processes without GPUs.
- `apply()`, `DistributedDataParallel` (fairseq 0.12.x): pytorch_ddp fails on CPU. Can go when fairseq gives
  torch no GPU number for a model on CPU.
- `apply()`, logging (fairseq 0.12.x): importing `fairseq.models` shows the debug messages of all packages on
  stderr. Can go when `wav2vec2_classification.py` stops calling `logging.basicConfig`.
- `check_fairseq_distribution` (pip): two distributions of `fairseq` overwrite each other silently.
- `import_torchaudio`, `load_torchaudio_source` (torchaudio 2.11 of PyPI): `import torchaudio` raises OSError
  beside a CPU build of torch. Can go when PyPI has a CPU wheel.

Repairs that subclassing can make live in the subclass: the last batch that is dropped, the loss weights that
`fairseq-validate` lacks and the generator that `fairseq-generate` cannot import are in `echostream.tasks` and
`echostream.criterions`; reading audio without sox is in `echostream.data`.

Importing this package imports neither fairseq nor torchaudio.
"""

import logging

from echostream.compat.checkpoints import CheckpointError, load_checkpoint
from echostream.compat.distribution import (
    FairseqInstallationError,
    check_fairseq_distribution,
    check_torch_version,
)
from echostream.compat.torchaudio_import import import_torchaudio, load_torchaudio_source

__all__ = [
    "CheckpointError",
    "FairseqInstallationError",
    "apply",
    "check_fairseq_distribution",
    "check_torch_version",
    "import_torchaudio",
    "load_checkpoint",
    "load_torchaudio_source",
]


def apply() -> None:
    """Check the installation, then repair fairseq in this process; a second call changes nothing.

    Raises:
        FairseqInstallationError: for a wrong fairseq or a torch that is too old.
    """
    check_torch_version()
    check_fairseq_distribution()
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    from echostream.compat import fairseq_repairs, process_repairs

    root.setLevel(level)
    root.handlers[:] = handlers
    fairseq_repairs.apply()
    process_repairs.apply()
