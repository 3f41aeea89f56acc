"""The training loop of the unit vocoder: spectral, duration and optional adversarial losses; resumable."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echostream.vocoder.checkpoint import load_checkpoint_file, save_checkpoint_file
from echostream.vocoder.discriminators import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.generator import CodeGenerator
from echostream.vocoder.mel import MelDistance
from echostream.vocoder.training_config import RunConfig
from echostream.vocoder.unit_audio import SegmentBatch, SegmentSampler, UnitAudioItem, load_waveform

logger = logging.getLogger(__name__)

STATE_FILE = "state.pt"
NEWEST_FILE = "checkpoint.pt"
LOG_FILE = "log.jsonl"
CONFIG_FILE = "config.json"
DEV_RESOLUTION = (1024, 256, 80)
_SEED_STEP = 1_000_003


@dataclass(frozen=True)
class Budget:
    """When to stop: after so many updates, or minutes of training, earlier runs of the folder included."""

    max_updates: int
    max_minutes: float | None = None

    def progress(self, update: int, seconds: float) -> float:
        """The used share of the budget; 1 or more means stop."""
        by_time = seconds / (60 * self.max_minutes) if self.max_minutes is not None else 0.0
        return max(update / self.max_updates, by_time)


class VocoderTrainer:
    """Trains a `CodeGenerator`; with a budget of updates alone, a resumed run equals an unbroken one.

    Args:
        run: the checked configuration.
        train_items, dev_items: utterances.
        output: folder for the state, the log, and the exported checkpoints `g_XXXXXXXX`, the newest also as
            `checkpoint.pt`, with their `config.json`.
        seed: decides the initial weights and everything that is drawn.
        device: where to compute.

    Raises:
        VocoderError: if `output` holds a run of another config or seed, or no utterance is long enough.
    """

    def __init__(
        self,
        run: RunConfig,
        train_items: list[UnitAudioItem],
        dev_items: list[UnitAudioItem],
        output: str | Path,
        *,
        seed: int = 1,
        device: torch.device | None = None,
    ) -> None:
        self.run = run
        self.seed = seed
        self.device = device if device is not None else torch.device("cpu")
        self.output = Path(output)
        self.sampler = SegmentSampler(train_items, run.generator, run.training.segment_frames)
        self.dev_items = dev_items[: run.training.dev_utterances]
        self.update = 0
        self.seconds = 0.0
        self._build_models()
        rate = run.generator.sampling_rate
        self.mel_distance = MelDistance(rate, run.training.mel_resolutions).to(self.device)
        self.dev_distance = MelDistance(rate, (DEV_RESOLUTION,)).to(self.device)
        self.output.mkdir(parents=True, exist_ok=True)
        if (self.output / STATE_FILE).exists():
            self._resume()

    def _build_models(self) -> None:
        training = self.run.training
        torch.manual_seed(self.seed)
        betas = (training.adam_b1, training.adam_b2)
        self.generator = CodeGenerator(self.run.generator).to(self.device)
        self.optimizer = torch.optim.AdamW(self.generator.parameters(), training.learning_rate, betas)
        self.discriminators: Discriminators | None = None
        self.discriminator_optimizer: torch.optim.AdamW | None = None
        if training.adversarial_from_update is not None:
            self.discriminators = Discriminators(
                training.discriminator_periods, training.discriminator_scales, training.discriminator_channels
            ).to(self.device)
            self.discriminator_optimizer = torch.optim.AdamW(
                self.discriminators.parameters(), training.discriminator_learning_rate, betas
            )

    def train(self, budget: Budget) -> Path:
        """Train until the budget is used up; the path of the last exported checkpoint."""
        interval = self.run.training.dev_interval_updates
        averages = _Averages()
        last_saved = self.update if self.export_path.is_file() else None
        while budget.progress(self.update, self.seconds) < 1:
            started = time.monotonic()
            learning_rate = self._set_learning_rate(budget)
            averages.add(self.train_update())
            self.seconds += time.monotonic() - started
            if self.update % interval == 0:
                self.save()
                last_saved = self.update
                self._log({**averages.take(), "learning_rate": learning_rate, **self.evaluate()})
        if last_saved != self.update:
            self.save()
            self._log({**averages.take(), **self.evaluate()})
        return self.export_path

    def train_update(self) -> dict[str, float]:
        """Do one update; its losses."""
        torch.manual_seed(self.seed * _SEED_STEP + self.update)
        training = self.run.training
        batch = self.sampler.draw(training.batch_size, torch.default_generator)
        self.generator.train()
        target = batch.waveform.to(self.device)
        waveform: Tensor = self.generator(batch.code.to(self.device))
        losses = {
            "mel": self.mel_distance(waveform.squeeze(1), target.squeeze(1)),
            "duration": self._duration_loss(batch),
        }
        total = training.mel_weight * losses["mel"] + training.duration_weight * losses["duration"]
        start = training.adversarial_from_update
        if start is not None and self.update >= start:
            losses["discriminator"] = self._update_discriminators(waveform.detach(), target)
            losses["adversarial"], losses["features"] = self._adversarial_losses(waveform, target)
            total = total + training.adversarial_weight * losses["adversarial"]
            total = total + training.feature_matching_weight * losses["features"]
        if not bool(torch.isfinite(total)):
            raise VocoderError(
                f"vocoder training: the loss is not finite at update {self.update}; lower 'learning_rate'"
            )
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        self.update += 1
        return {name: loss.item() for name, loss in losses.items()}

    def _duration_loss(self, batch: SegmentBatch) -> Tensor:
        """Mean squared error of log(1 + frames), over the units of whole utterances, each one by itself."""
        if self.generator.dur_predictor is None:
            return torch.zeros((), device=self.device)
        errors = []
        for item in batch.items:
            units, counts = item.reduced()
            predicted = self.generator.predict_log_durations(units.unsqueeze(0).to(self.device))
            errors.append((predicted.squeeze(0) - torch.log1p(counts.to(predicted))).square())
        return torch.cat(errors).mean()

    def _update_discriminators(self, fake: Tensor, real: Tensor) -> Tensor:
        discriminators, optimizer = self._adversary()
        loss = discriminator_loss(discriminators(real), discriminators(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def _adversarial_losses(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        discriminators, _ = self._adversary()
        with torch.no_grad():
            of_real = discriminators(real)
        of_fake = discriminators(fake)
        return adversarial_loss(of_fake), feature_matching_loss(of_real, of_fake)

    def _adversary(self) -> tuple[Discriminators, torch.optim.AdamW]:
        if self.discriminators is None or self.discriminator_optimizer is None:
            raise RuntimeError("this run has no discriminators")
        return self.discriminators, self.discriminator_optimizer

    def _set_learning_rate(self, budget: Budget) -> float:
        training = self.run.training
        warmup = min(1.0, (self.update + 1) / max(1, training.warmup_updates))
        fall = 0.5 * (1 + math.cos(math.pi * budget.progress(self.update, self.seconds)))
        scale = warmup * (training.final_learning_rate + (1 - training.final_learning_rate) * fall)
        for group in self.optimizer.param_groups:
            group["lr"] = training.learning_rate * scale
        if self.discriminator_optimizer is not None:
            for group in self.discriminator_optimizer.param_groups:
                group["lr"] = training.discriminator_learning_rate * scale
        return training.learning_rate * scale

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Errors on whole dev utterances: mel distance, and frames that predicted durations are off."""
        self.generator.eval()
        mel, off, num_units = 0.0, 0, 0
        for item in self.dev_items:
            code, samples = load_waveform(item, self.run.generator)
            waveform: Tensor = self.generator(code.unsqueeze(0).to(self.device))
            mel += self.dev_distance(waveform.squeeze(1), samples.unsqueeze(0).to(self.device)).item()
            if self.generator.dur_predictor is not None:
                units, counts = item.reduced()
                predicted = self.generator.predict_durations(units.unsqueeze(0).to(self.device))
                off += int((predicted.cpu().squeeze(0) - counts).abs().sum())
                num_units += len(units)
        result = {"dev_mel_l1": mel / len(self.dev_items)}
        if num_units:
            result["dev_duration_error_frames"] = off / num_units
        return result

    @property
    def export_path(self) -> Path:
        """Where the checkpoint of the present update is exported to."""
        return self.output / f"g_{self.update:08d}"

    def save(self) -> None:
        """Write the resumable state, and export the generator in the public format with its config."""
        adversary = self.discriminators is not None
        for path in (self.export_path, self.output / NEWEST_FILE):
            save_checkpoint_file({"generator": self.generator.state_dict()}, path)
        config_text = json.dumps(self.run.model_cfg, indent=2) + "\n"
        (self.output / CONFIG_FILE).write_text(config_text, encoding="utf-8")
        state: dict[str, Any] = {
            "update": self.update,
            "seconds": self.seconds,
            "settings": self._settings(),
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if adversary:
            discriminators, optimizer = self._adversary()
            state["discriminators"] = discriminators.state_dict()
            state["discriminator_optimizer"] = optimizer.state_dict()
        save_checkpoint_file(state, self.output / STATE_FILE)
        exports = sorted(self.output.glob("g_" + "[0-9]" * 8))
        for old in exports[: -self.run.training.kept_exports]:
            old.unlink()

    def _resume(self) -> None:
        path = self.output / STATE_FILE
        state = load_checkpoint_file(path)
        if state.get("settings") != self._settings():
            raise VocoderError(
                f"{path} is of a run with another config or seed; choose another output folder, "
                "or remove this one"
            )
        self.generator.load_state_dict(state["generator"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.discriminators is not None:
            discriminators, optimizer = self._adversary()
            discriminators.load_state_dict(state["discriminators"])
            optimizer.load_state_dict(state["discriminator_optimizer"])
        self.update = state["update"]
        self.seconds = state["seconds"]
        logger.info("resumed from %s at update %d", path, self.update)

    def _settings(self) -> str:
        """The run's configuration and seed as text, to be compared on resuming."""
        settings = {"model": self.run.model_cfg, "training": self.run.training.to_dict(), "seed": self.seed}
        return json.dumps(settings, sort_keys=True)

    def _log(self, values: dict[str, float]) -> None:
        rounded = {key: float(f"{value:.5g}") for key, value in values.items()}
        entry = {"update": self.update, "seconds": round(self.seconds, 2), **rounded}
        with (self.output / LOG_FILE).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        logger.info("%s", "  ".join(f"{key} {value}" for key, value in entry.items()))


class _Averages:
    """Means of the losses since the last report."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: dict[str, float]) -> None:
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        means = {f"train_{name}": total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means
