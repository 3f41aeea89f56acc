"""Repairs of fairseq 0.12.x for training with several processes."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from fairseq.dataclass.configs import DistributedTrainingConfig
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from omegaconf import DictConfig
from torch.nn.parallel import DistributedDataParallel

from echostream.compat.marks import is_repaired, mark

TORCHRUN_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class ProcessSetupError(ValueError):
    """The processes cannot train together as they were started; the message says how to start them."""


def configure_processes(config: DictConfig, environment: Mapping[str, str] = os.environ) -> None:
    """Complete the distributed settings of one process, or refuse settings under which it would train alone.

    Processes that torchrun started train together, on GPUs with NCCL, on CPU with gloo.

    Args:
        config: fairseq's configuration; `distributed_training` is changed.
        environment: holds torchrun's variables, if that started the process.
    Raises:
        ProcessSetupError: when the number of processes, devices and `--distributed-world-size` differ.
    """
    settings = config.distributed_training
    on_cpu = config.common.cpu or not torch.cuda.is_available()
    if all(name in environment for name in TORCHRUN_VARIABLES):
        _join_torchrun(settings, environment, on_cpu)
    elif on_cpu and settings.distributed_world_size > 1 and not settings.distributed_no_spawn:
        raise ProcessSetupError(
            f"--distributed-world-size is {settings.distributed_world_size}, but without GPUs fairseq starts "
            "no processes: start them with "
            f"torchrun --nproc-per-node {settings.distributed_world_size} --no-python fairseq-train …"
        )
    if on_cpu and settings.distributed_backend == "nccl":
        settings.distributed_backend = "gloo"


def _join_torchrun(settings: DictConfig, environment: Mapping[str, str], on_cpu: bool) -> None:
    world_size, rank = int(environment["WORLD_SIZE"]), int(environment["RANK"])
    default = DistributedTrainingConfig.distributed_world_size
    if settings.distributed_world_size not in (default, world_size):
        raise ProcessSetupError(
            f"--distributed-world-size is {settings.distributed_world_size}, but torchrun started "
            f"{world_size} processes: give the same number, or leave the flag out"
        )
    local_rank = int(environment["LOCAL_RANK"])
    if not on_cpu and local_rank >= torch.cuda.device_count():
        raise ProcessSetupError(
            f"torchrun started a process for GPU {local_rank}, but {torch.cuda.device_count()} are visible: "
            "--nproc-per-node must not be larger than the number of GPUs of the node"
        )
    settings.distributed_world_size = world_size
    if world_size > 1:
        settings.distributed_init_method = "env://"
        settings.distributed_rank = rank
        settings.device_id = local_rank
        settings.distributed_no_spawn = True


def repair_start() -> None:
    """Processes that torchrun started find each other, also on CPU, and wrong settings are refused.

    For: fairseq 0.12.x. Symptoms: under torchrun on CPU, N independent trainings into one folder;
    `--distributed-world-size 2 --distributed-init-method …` on CPU ends with status 0 without training.
    """
    original = distributed_utils.call_main
    if is_repaired(original):
        return

    @functools.wraps(original)
    def call_main(cfg: DictConfig, main: Callable[..., Any], **kwargs: Any) -> None:
        configure_processes(cfg)
        original(cfg, main, **kwargs)

    distributed_utils.call_main = mark(call_main)


class DeviceAwareDistributedDataParallel(DistributedDataParallel):
    """torch's wrapper, which refuses a GPU number for a model on CPU."""

    def __init__(
        self, module: torch.nn.Module, device_ids: Any = None, output_device: Any = None, **kwargs: Any
    ) -> None:
        if next(module.parameters()).device.type == "cpu":
            device_ids = output_device = None
        super().__init__(module, device_ids=device_ids, output_device=output_device, **kwargs)


def repair_data_parallel() -> None:
    """`--ddp-backend pytorch_ddp` (the default) works on CPU.

    For: fairseq 0.12.x. Symptom: "device_ids and output_device arguments only work with … GPU modules".
    """
    distributed_fairseq_model.DistributedDataParallel = DeviceAwareDistributedDataParallel


def apply() -> None:
    """Make every repair; a second call changes nothing."""
    repair_start()
    repair_data_parallel()
