"""Processes train together or say why not."""

from typing import Any

import pytest
import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from omegaconf import DictConfig, OmegaConf
from torch import nn

from echostream import compat
from echostream.compat.marks import is_repaired
from echostream.compat.process_repairs import (
    DeviceAwareDistributedDataParallel,
    ProcessSetupError,
    configure_processes,
)

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def _repaired() -> None:
    compat.apply()


def make_config(*, cpu: bool = True, **settings: Any) -> DictConfig:
    config: DictConfig = OmegaConf.structured(FairseqConfig)
    config.common.cpu = cpu
    for name, value in settings.items():
        config.distributed_training[name] = value
    return config


def test_torchrun_gives_rank_world_and_backend() -> None:
    config = make_config()
    configure_processes(config, TORCHRUN)
    settings = config.distributed_training
    assert (settings.distributed_rank, settings.distributed_world_size, settings.device_id) == (3, 4, 1)
    assert (settings.distributed_init_method, settings.distributed_no_spawn) == ("env://", True)
    assert settings.distributed_backend == "gloo"


def test_torchrun_with_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = make_config(cpu=False)
    configure_processes(config, TORCHRUN)
    assert config.distributed_training.distributed_backend == "nccl"
    assert config.distributed_training.device_id == 1
    with pytest.raises(ProcessSetupError, match="started a process for GPU 2, but 2 are visible"):
        configure_processes(make_config(cpu=False), {**TORCHRUN, "LOCAL_RANK": "2"})


def test_one_process_of_torchrun_is_a_plain_training() -> None:
    config = make_config()
    configure_processes(config, {**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"})
    assert config.distributed_training.distributed_world_size == 1
    assert config.distributed_training.distributed_init_method is None


def test_without_torchrun_nothing_changes() -> None:
    config = make_config()
    configure_processes(config, {})
    assert config.distributed_training.distributed_init_method is None
    assert config.distributed_training.distributed_world_size == 1


@pytest.mark.parametrize(
    ("environment", "settings", "message"),
    [
        (TORCHRUN, {"distributed_world_size": 2}, "is 2, but torchrun started 4 processes"),
        ({}, {"distributed_world_size": 2}, "torchrun --nproc-per-node 2"),
        (
            {},
            {"distributed_world_size": 2, "distributed_init_method": "tcp://localhost:1"},
            "without GPUs fairseq starts no processes",
        ),
    ],
)
def test_settings_under_which_processes_would_train_alone(
    environment: dict[str, str], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProcessSetupError, match=message):
        configure_processes(make_config(**settings), environment)


def test_call_main_configures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_repaired(distributed_utils.call_main)
    with pytest.raises(ProcessSetupError):
        distributed_utils.call_main(make_config(distributed_world_size=2), print)
    if not torch.cuda.is_available():
        for name, value in TORCHRUN.items():
            monkeypatch.setenv(name, value)
        ran: list[int] = []
        distributed_utils.call_main.__wrapped__(
            make_config(), lambda cfg: ran.append(cfg.distributed_training.distributed_world_size)
        )
        assert ran == [1], "fairseq joins torchrun's processes on CPU: the repair can go"


def test_data_parallel_on_cpu(tmp_path: Any) -> None:
    """One process is enough to see that torch refuses a GPU number for a model on CPU."""
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, world_size=1, rank=0)
    try:
        assert distributed_fairseq_model.DistributedDataParallel is DeviceAwareDistributedDataParallel
        wrapped = DeviceAwareDistributedDataParallel(nn.Linear(1, 1), device_ids=[0], output_device=0)
        assert wrapped(torch.zeros(1)).shape == (1,)
        with pytest.raises(ValueError, match="device_ids"):
            nn.parallel.DistributedDataParallel(nn.Linear(1, 1), device_ids=[0], output_device=0)
    finally:
        torch.distributed.destroy_process_group()
