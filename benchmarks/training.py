"""Throughput and memory of training, at the size and with the flags of `scripts/fr-en/train.simul-s2st.sh`.

    python benchmarks/training.py [--device cpu] [--threads 1] [--max-tokens 2000] [--output training.json]

Both architectures train on synthetic batches through fairseq's trainer, each in a process of its own. Prints
JSON and a Markdown table. Operations and saved activations are counted, so they hold on any machine; times
and peak memory are this one's, and CPU time is the steadier figure where others use the machine too. On GPUs,
`--max-tokens 22000 --precision fp16` is the setting of the scripts.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import shlex
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("echostream", "streamspeech")
CORPUS_HOURS = 264
NUM_PIECES, NUM_UNITS = 6000, 1000
# What a second of speech holds, roughly as in CVSS-C fr-en: the losses' targets are of this length.
FRAMES_A_SECOND = 100
SOURCE_PIECES_A_SECOND, TARGET_PIECES_A_SECOND, UNITS_A_SECOND = 3.0, 2.6, 30.0
MIB = 2**20


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    device: str
    threads: int
    precision: str
    max_tokens: int
    utterance_seconds: float
    rounds: int


@dataclass(frozen=True)
class Result:
    """Of one architecture; an update is one batch of at most `max_tokens` fbank frames."""

    arch: str
    num_parameters: int
    audio_seconds: float
    update_seconds: float
    update_cpu_seconds: float
    updates_a_second: float
    audio_seconds_a_second: float
    epoch_hours: float
    tera_operations_an_audio_minute: float
    saved_activations_mib_an_audio_minute: float
    peak_memory_mib: float
    memory_before_mib: float


def write_data(folder: Path) -> None:
    """The dictionaries and configuration files of fr-en; no audio is read."""
    for side in ("src_unigram6000", "tgt_unigram6000"):
        (folder / side).mkdir()
        lines = "".join(f"▁p{index} 1\n" for index in range(NUM_PIECES - 4))
        (folder / side / "spm_unigram_fr.txt").write_text(lines, encoding="utf-8")
    for config in (ROOT / "configs" / "fr-en").glob("*.yaml"):
        (folder / config.name).write_text(config.read_text(encoding="utf-8"), encoding="utf-8")
    np.savez(folder / "gcmvn.npz", mean=np.zeros(80), std=np.ones(80))


def training_arguments(arch: str, data: Path, setting: Setting) -> list[str]:
    """The flags that the training script gives to fairseq-train."""
    variables = {
        "ARCH": arch,
        "DATA": str(data),
        "DEVICE": setting.device,
        "NUM_GPUS": "1",
        "BATCHES_PER_UPDATE": "1",
        "MAX_TOKENS": str(setting.max_tokens),
        "PRECISION": setting.precision,
        "SAVE_DIR": str(data / "save"),
    }
    script = str(ROOT / "scripts" / "fr-en" / "train.simul-s2st.sh")
    printed = subprocess.run(
        [script, "--dry-run"], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return shlex.split(printed.stdout)[1:]


def build_trainer(arguments: list[str]) -> Any:
    """fairseq's trainer with the task, model and criterion of the flags."""
    from fairseq import options, tasks, utils
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.trainer import Trainer

    config = convert_namespace_to_omegaconf(
        options.parse_args_and_arch(options.get_training_parser(), arguments)
    )
    utils.import_user_module(config.common)
    utils.set_torch_seed(config.common.seed)
    task = tasks.setup_task(config.task)
    return Trainer(config, task, task.build_model(config.model), task.build_criterion(config.criterion))


def text_targets(batch_size: int, length: int, end: int | None) -> dict[str, Any]:
    """Targets of a text task: with end-of-sentence and decoder input, or for CTC."""
    tokens = torch.randint(4, NUM_PIECES, (batch_size, length))
    net_input: dict[str, Any] = {}
    if end is not None:
        ends = torch.full((batch_size, 1), end)
        net_input["prev_output_tokens"] = torch.cat([ends, tokens], dim=1)
        tokens = torch.cat([tokens, ends], dim=1)
    lengths = torch.full((batch_size,), tokens.shape[1])
    return {"target": tokens, "target_lengths": lengths, "ntokens": tokens.numel(), "net_input": net_input}


def make_batch(setting: Setting) -> dict[str, Any]:
    """Utterances of one length that fill `max_tokens` frames; there is no padding."""
    seconds = setting.utterance_seconds
    num_frames = round(seconds * FRAMES_A_SECOND)
    batch_size = max(1, setting.max_tokens // num_frames)
    units = torch.randint(4, 4 + NUM_UNITS, (batch_size, round(seconds * UNITS_A_SECOND)))
    target_pieces = round(seconds * TARGET_PIECES_A_SECOND)
    return {
        "id": torch.arange(batch_size),
        "net_input": {
            "src_tokens": torch.randn(batch_size, num_frames, 80),
            "src_lengths": torch.full((batch_size,), num_frames),
            "prev_output_tokens": units,
        },
        "target": units,
        "target_lengths": torch.full((batch_size,), units.shape[1]),
        "ntokens": units.numel(),
        "nsentences": batch_size,
        "multitask": {
            "target_unigram": text_targets(batch_size, target_pieces, end=2),
            "source_unigram": text_targets(batch_size, round(seconds * SOURCE_PIECES_A_SECOND), None),
            "ctc_target_unigram": text_targets(batch_size, target_pieces, None),
        },
    }


def count(trainer: Any, batch: dict[str, Any]) -> tuple[int, int]:
    """Operations of an update (a multiplication with addition is two), and bytes kept for backward."""
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in trainer.get_model().parameters()}
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        trainer.train_step([batch])
    num_bytes = sum(size for pointer, size in saved.items() if pointer not in weights)
    return counter.get_total_flops(), num_bytes


def peak_memory_mib(device: str) -> float:
    """Of the process on CPU, of the tensors on a GPU; since the start."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(arch: str, setting: Setting) -> Result:
    """Train for a few updates; medians."""
    torch.set_num_threads(setting.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        trainer = build_trainer(training_arguments(arch, Path(folder), setting))
    batch = make_batch(setting)
    before = peak_memory_mib(setting.device)
    times, cpu_times = [], []
    for update in range(setting.rounds + 1):  # the first one allocates
        start, cpu_start = time.perf_counter(), time.process_time()
        trainer.train_step([batch])
        if setting.device == "cuda":
            torch.cuda.synchronize()
        if update:
            times.append(time.perf_counter() - start)
            cpu_times.append(time.process_time() - cpu_start)
    peak = peak_memory_mib(setting.device)
    operations, saved_bytes = count(trainer, batch)
    seconds = statistics.median(times)
    audio = batch["net_input"]["src_lengths"].sum().item() / FRAMES_A_SECOND
    return Result(
        arch=arch,
        num_parameters=sum(weight.numel() for weight in trainer.get_model().parameters()),
        audio_seconds=audio,
        update_seconds=seconds,
        update_cpu_seconds=statistics.median(cpu_times),
        updates_a_second=1 / seconds,
        audio_seconds_a_second=audio / seconds,
        epoch_hours=CORPUS_HOURS * seconds / audio,
        tera_operations_an_audio_minute=operations / 1e12 * 60 / audio,
        saved_activations_mib_an_audio_minute=saved_bytes / MIB * 60 / audio,
        peak_memory_mib=peak,
        memory_before_mib=before,
    )


def markdown(results: list[Result]) -> str:
    """The table of the docs."""
    lines = [
        "| architecture | parameters, M | updates/s | CPU s an update | audio s/s "
        f"| h an epoch of {CORPUS_HOURS} h | 10^12 operations a minute of audio "
        "| activations, MiB a minute of audio | peak memory, MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {result.arch} | {result.num_parameters / 1e6:.1f} | {result.updates_a_second:.3f} "
        f"| {result.update_cpu_seconds:.2f} | {result.audio_seconds_a_second:.1f} | {result.epoch_hours:.1f} "
        f"| {result.tera_operations_an_audio_minute:.2f} "
        f"| {result.saved_activations_mib_an_audio_minute:.0f} "
        f"| {result.peak_memory_mib:.0f} ({result.memory_before_mib:.0f} before the first update) |"
        for result in results
    ]
    return "\n".join(lines)


def parse_arguments() -> tuple[Setting, list[str], Path | None]:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--max-tokens", type=int, default=2000, help="fbank frames of 10 ms a batch")
    parser.add_argument("--utterance-seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arch", nargs="+", default=list(ARCHITECTURES), choices=ARCHITECTURES)
    parser.add_argument("--output", type=Path, help="JSON file")
    args = parser.parse_args()
    names = ("device", "threads", "precision", "max_tokens", "utterance_seconds", "rounds")
    return Setting(**{name: getattr(args, name) for name in names}), args.arch, args.output


def main() -> None:
    """Print the figures."""
    setting, architectures, output = parse_arguments()
    results = []
    for arch in architectures:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # peak memory is a process's
            results.append(pool.apply(measure, (arch, setting)))
    device = torch.cuda.get_device_name() if setting.device == "cuda" else platform.machine()
    report = {
        "date": str(datetime.now(UTC).date()),
        "machine": device,
        "torch": torch.__version__,
        "setting": asdict(setting),
        "results": [asdict(result) for result in results],
    }
    text = json.dumps(report, indent=1)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    print(f"{text}\n\n{markdown(results)}")


if __name__ == "__main__":
    main()
