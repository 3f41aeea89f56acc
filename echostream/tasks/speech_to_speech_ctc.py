"""The task of two-pass speech-to-speech translation with CTC units."""

import logging
import math
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary
from fairseq.logging import metrics
from fairseq.models import BaseFairseqModel
from fairseq.tasks import LegacyFairseqTask, register_task
from fairseq.tasks.speech_to_speech import SpeechToSpeechTask
from fairseq.tasks.speech_to_text import DummyMultiTask
from torch import Tensor

from echostream.data.data_config import SpeechDataConfig, TextTaskConfig, TextTasksConfig
from echostream.data.speech_to_speech_dataset import load_speech_dataset
from echostream.models.pretrained import check_text_side, without_initial_weights
from echostream.tasks.nonfinite_guard import NonFiniteGuard
from echostream.tasks.text_output import TextOutput
from echostream.tasks.two_pass_generator import SearchOptions, TwoPassGenerator

logger = logging.getLogger(__name__)


@register_task("speech_to_speech_ctc")
class SpeechToSpeechCTCTask(SpeechToSpeechTask):
    """Speech to units, with text multitasks for the first pass, recognition and translation CTC.

    The unit dictionary is fairseq's four special symbols, the units 0 … target_code_size - 1, and `<blank>`.
    Every sentence is used: no batch is dropped, whatever `--required-batch-size-multiple` says.

    Args:
        args: the parsed arguments.
        tgt_dict: the unit dictionary.
    """

    blank_symbol = "<blank>"

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add fairseq's speech-to-speech arguments and our own."""
        SpeechToSpeechTask.add_args(parser)
        parser.add_argument(
            "--gen-chunk-size",
            default="offline",
            metavar="N",
            help="encoder's chunk size in fairseq-generate: encoder frames of 40 ms, 'offline', or 'model' "
            "for the one that the checkpoint (or --model-overrides) sets",
        )
        parser.add_argument(
            "--force-reference-text",
            action="store_true",
            help="fairseq-generate: units of the reference text instead of the searched one",
        )
        parser.add_argument(
            "--unit-blank-penalty",
            default=0.0,
            type=float,
            metavar="P",
            help="fairseq-generate: subtracted from the logit of the units' blank: above 0, more units",
        )
        parser.add_argument(
            "--on-nonfinite",
            default="stop",
            choices=["stop", "skip"],
            help="when a loss or the gradient is not a finite number: stop, or leave the update out",
        )
        parser.add_argument(
            "--max-nonfinite-skips",
            default=10,
            type=int,
            metavar="N",
            help="with --on-nonfinite skip, stop at the update after N were left out",
        )

    def __init__(self, args: Namespace, tgt_dict: Dictionary, infer_tgt_lang_id: None = None) -> None:
        LegacyFairseqTask.__init__(self, args)
        self.tgt_dict = tgt_dict
        self.data_cfg = SpeechDataConfig(Path(args.data) / args.config_yaml)
        self.tgt_dict_mt = None
        self.eos_token_mt = None
        self._infer_tgt_lang_id = infer_tgt_lang_id
        self.guard = NonFiniteGuard(
            skip=getattr(args, "on_nonfinite", "stop") == "skip",
            max_skips=getattr(args, "max_nonfinite_skips", 0),
            save_dir=Path(args.save_dir) if getattr(args, "save_dir", None) else None,
            utterance_name=self._utterance_name,
        )
        self.text_tasks: dict[str, TextTaskConfig] = {}
        self.multitask_tasks: dict[str, DummyMultiTask] = {}
        if getattr(args, "multitask_config_yaml", None) is None:
            raise ValueError(
                "--multitask-config-yaml is needed: it names the text decoders of the first pass"
            )
        config = TextTasksConfig(Path(args.data) / args.multitask_config_yaml)
        for index, (name, text_task) in enumerate(config.get_all_tasks().items()):
            first_pass = index == config.first_pass_decoder_task_index
            self.text_tasks[name] = text_task
            self.multitask_tasks[name] = DummyMultiTask(text_task, text_task.tgt_dict, first_pass=first_pass)
            if first_pass:
                self.tgt_dict_mt = text_task.tgt_dict

    @classmethod
    def setup_task(cls, args: Namespace, **kwargs: Any) -> "SpeechToSpeechCTCTask":
        """Check the arguments and build the unit dictionary."""
        if not args.target_is_code or not args.target_code_size or args.target_code_size < 1:
            raise ValueError("the targets are units: give --target-is-code and --target-code-size N (N >= 1)")
        if args.n_frames_per_step != 1:
            raise ValueError(f"--n-frames-per-step must be 1 for CTC units, not {args.n_frames_per_step}")
        if args.eval_inference:
            raise ValueError("--eval-inference is not supported; validate with fairseq-generate or SimulEval")
        if args.infer_target_lang:
            raise ValueError("--infer-target-lang is not supported: the unit dictionary has no language tags")
        subsets = (getattr(args, "train_subset", None) or "train").split(",")
        if not all(subset.startswith("train") for subset in subsets):
            raise ValueError(f"--train-subset: the names must start with 'train', not {','.join(subsets)}")
        return cls(args, cls.build_unit_dictionary(args.target_code_size))

    @classmethod
    def build_unit_dictionary(cls, num_units: int) -> Dictionary:
        """Four special symbols, the units in order, and the blank: unit u has index u + 4."""
        dictionary = Dictionary()
        for unit in range(num_units):
            dictionary.add_symbol(str(unit))
        dictionary.add_symbol(cls.blank_symbol)
        return dictionary

    def build_model(self, args: Namespace, from_checkpoint: bool = False) -> BaseFairseqModel:
        """As in fairseq; a model that is loaded from its checkpoint needs no initial weights of others."""
        if not from_checkpoint:
            check_text_side(args)
        return super().build_model(
            without_initial_weights(args) if from_checkpoint else args, from_checkpoint
        )

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs: Any) -> None:
        """Load one or more splits (names separated by commas), checking every manifest row."""
        self.datasets[split] = load_speech_dataset(
            Path(self.args.data),
            self.data_cfg,
            split,
            is_train_split=split.startswith("train"),
            dictionary=self.target_dictionary,
            text_tasks=self.text_tasks,
            seed=self.args.seed,
        )

    def get_batch_iterator(self, dataset: Any, **kwargs: Any) -> Any:
        """As in fairseq, but the last batch is kept whatever its size.

        fairseq drops it silently when its size is no multiple of `--required-batch-size-multiple` (8).
        """
        kwargs["required_batch_size_multiple"] = 1
        return super().get_batch_iterator(dataset, **kwargs)

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Forward and backward of one batch, under the eyes of the guard."""
        self.guard.watch(optimizer, model, update_num)
        loss, sample_size, logging_output = super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad
        )
        self.guard.record(loss, logging_output, sample["id"])
        return loss, sample_size, logging_output

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        """The optimiser's step, unless the guard leaves the update out."""
        if not self.guard.is_skipping:
            super().optimizer_step(optimizer, model, update_num)

    def reduce_metrics(self, logging_outputs: list[dict[str, Any]], criterion: Any) -> None:
        """Log the metrics; of an update that is left out, only that it was, so that means stay meaningful."""
        if criterion.training and self.guard.is_skipping:
            metrics.log_scalar("loss", math.nan, weight=0)
            metrics.log_scalar_sum("nonfinite_skips", 1)
            return
        super().reduce_metrics(logging_outputs, criterion)

    def _utterance_name(self, index: int) -> str:
        """The id of a training utterance; of several training sets, the index within its own."""
        ids = getattr(self.datasets.get(self.args.train_subset), "ids", None)
        return f"index {index}" if ids is None else ids[index]

    def build_generator(
        self,
        models: list[BaseFairseqModel],
        args: Any,
        seq_gen_cls: None = None,
        extra_gen_cls_kwargs: dict[str, Any] | None = None,
    ) -> TwoPassGenerator:
        """The generator of fairseq-generate; `--beam` is the text decoder's."""
        if (extra_gen_cls_kwargs or {}).get("lm_model") is not None:
            raise ValueError("--lm-path is not supported by this task")
        options = SearchOptions.from_generation_config(args, getattr(self.args, "gen_chunk_size", "offline"))
        output = TextOutput.from_args(self.args, self._manifest_ids())
        return TwoPassGenerator(
            models,
            unit_dictionary=self.target_dictionary,
            text_dictionaries={name: text_task.tgt_dict for name, text_task in self.text_tasks.items()},
            blank=self.target_dictionary.index(self.blank_symbol),
            options=options,
            output=output,
            use_bf16=bool(getattr(self.args, "bf16", False)),
            unit_blank_penalty=float(getattr(self.args, "unit_blank_penalty", 0.0)),
            force_reference_text=bool(getattr(self.args, "force_reference_text", False)),
        )

    def _manifest_ids(self) -> list[str] | None:
        dataset = self.datasets.get(getattr(self.args, "gen_subset", None))
        return getattr(dataset, "ids", None)
