"""Loading a trained checkpoint for inference: the one module of this layer that knows fairseq."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, tasks
from fairseq.models import ARCH_MODEL_NAME_REGISTRY, MODEL_REGISTRY

import echostream.models
import echostream.tasks  # noqa: F401
from echostream import compat
from echostream.compat import CheckpointError
from echostream.data.fbank import GlobalCMVN
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.vocabulary import Vocabulary
from echostream.models.streamspeech_model import StreamSpeechModel

TASK = "speech_to_speech_ctc"
ASR_TASK = "source_unigram"
ST_TASK = "ctc_target_unigram"
UNIT_BLANK_SYMBOL = "<blank>"


def load_model(
    checkpoint: str | Path,
    *,
    data_bin: str | Path,
    config_yaml: str | None = None,
    multitask_config_yaml: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    overrides: Mapping[str, Any] | None = None,
) -> LoadedModel:
    """Load a `streamspeech` or `echostream` checkpoint in evaluation mode.

    Dictionaries and normalisation come from the YAML files; the encoder's settings come from the checkpoint.

    Args:
        checkpoint: a fairseq checkpoint; nothing stored in it is executed.
        data_bin: the folder where the YAML files are.
        config_yaml: data configuration, by its name in `data_bin`; None takes the checkpoint's.
        multitask_config_yaml: likewise for the text tasks.
        device: where the model goes.
        dtype: type of its weights.
        overrides: arguments that replace the checkpoint's, as fairseq's `--model-overrides`.
    Raises:
        FileNotFoundError: for a missing checkpoint, folder, YAML file, dictionary or statistics file.
        CheckpointError: for a corrupt file, another task or architecture, or weights that do not fit.
        ValueError: for a configuration that cannot be used for streaming.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; check --model-path")
    if not Path(data_bin).is_dir():
        raise FileNotFoundError(
            f"{data_bin}: no such folder; --data-bin holds the YAML files and dictionaries"
        )
    compat.apply()
    state = _read_state(path, dict(overrides or {}))
    task_cfg, model_cfg = _configs(state, path)
    arch = _architecture(model_cfg, path)
    task = _setup_task(task_cfg, data_bin, config_yaml, multitask_config_yaml)
    model = _build_model(state, task, path)
    model.requires_grad_(False)
    model.eval()
    model.to(device=torch.device(device), dtype=dtype)
    dictionaries = {name: text_task.target_dictionary for name, text_task in task.multitask_tasks.items()}
    for name in (ASR_TASK, ST_TASK, model.mt_task_name):
        if name not in dictionaries:
            raise ValueError(
                f"{task_cfg.multitask_config_yaml}: has no section {name}, whose dictionary is needed"
            )
    return LoadedModel(
        model=model,
        arch=arch,
        asr_vocabulary=_vocabulary(dictionaries[ASR_TASK]),
        st_vocabulary=_vocabulary(dictionaries[ST_TASK]),
        text_vocabulary=_vocabulary(dictionaries[model.mt_task_name]),
        unit_vocabulary=_vocabulary(task.target_dictionary),
        unit_blank=_blank_index(task.target_dictionary),
        cmvn=_cmvn(task.data_cfg),
        device=torch.device(device),
        dtype=dtype,
        task=task,
        vocoder_config=task.data_cfg.vocoder,
    )


def _read_state(path: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    try:
        state: dict[str, Any] = checkpoint_utils.load_checkpoint_to_cpu(str(path), overrides)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a fairseq checkpoint (no {error})") from error
    if "model" not in state:
        raise CheckpointError(f"{path}: not a fairseq checkpoint: it holds no model")
    return state


def _configs(state: dict[str, Any], path: Path) -> tuple[Any, Any]:
    """The task's and the model's arguments, whichever way fairseq stored them."""
    if state.get("cfg") is not None:
        return state["cfg"]["task"], state["cfg"]["model"]
    if state.get("args") is not None:
        return state["args"], state["args"]
    raise CheckpointError(f"{path}: holds weights but no arguments; it was not saved by fairseq-train")


def _architecture(model_cfg: Any, path: Path) -> str:
    arch = getattr(model_cfg, "arch", None) or getattr(model_cfg, "_name", None)
    name = ARCH_MODEL_NAME_REGISTRY.get(arch, arch)
    if not issubclass(MODEL_REGISTRY.get(name, object), StreamSpeechModel):
        raise CheckpointError(
            f"{path}: a checkpoint of the architecture {arch!r}; "
            "only streamspeech and echostream models can be used here"
        )
    return str(name)


def _setup_task(
    task_cfg: Any, data_bin: str | Path, config_yaml: str | None, multitask_config_yaml: str | None
) -> Any:
    name = getattr(task_cfg, "task", None) or getattr(task_cfg, "_name", None)
    if name != TASK:
        raise CheckpointError(f"the checkpoint was trained for the task {name!r}; inference needs {TASK}")
    task_cfg.data = str(data_bin)
    if config_yaml is not None:
        task_cfg.config_yaml = config_yaml
    if multitask_config_yaml is not None:
        task_cfg.multitask_config_yaml = multitask_config_yaml
    return tasks.setup_task(task_cfg)


def _build_model(state: dict[str, Any], task: Any, path: Path) -> Any:
    try:
        models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)], task=task, state=state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: the weights do not fit the model that its arguments and the dictionaries describe; "
            f"check that the YAML files are those of the training ({str(error)[:500]})"
        ) from error
    return models[0]


def _vocabulary(dictionary: Any) -> Vocabulary:
    return Vocabulary(
        symbols=tuple(dictionary.symbols),
        bos=dictionary.bos(),
        pad=dictionary.pad(),
        eos=dictionary.eos(),
        unk=dictionary.unk(),
    )


def _blank_index(dictionary: Any) -> int:
    index = int(dictionary.index(UNIT_BLANK_SYMBOL))
    if index == dictionary.unk():
        raise ValueError(f"the unit dictionary has no {UNIT_BLANK_SYMBOL}; the task should have added it")
    return index


def _cmvn(data_cfg: Any) -> GlobalCMVN | None:
    """The normalisation that evaluation uses; one that needs the whole utterance cannot be streamed."""
    names = data_cfg.get_feature_transforms("eval", False)["feature_transforms"] or []
    unknown = set(names) - {"global_cmvn"}
    if unknown:
        raise ValueError(
            f"the feature transforms {', '.join(sorted(unknown))} cannot be streamed; use global_cmvn only"
        )
    return GlobalCMVN.from_npz(data_cfg.global_cmvn_stats_npz) if names else None
