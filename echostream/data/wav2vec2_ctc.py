"""Speech recognition with a wav2vec 2.0 model that was fine-tuned with CTC, as published ASR-BLEU uses it.

Reference: Baevski et al., "wav2vec 2.0" (2020); for ASR-BLEU Lee et al., "Direct speech-to-speech translation
with discrete units" (2021), section 4.
"""

from pathlib import Path

import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.data.data_utils import post_process
from fairseq.models.wav2vec.wav2vec2_asr import Wav2VecCtc
from fairseq.tasks.audio_finetuning import AudioFinetuningTask
from torch import Tensor
from torch.nn import functional

from echostream import compat
from echostream.compat import CheckpointError
from echostream.data.audio import SAMPLE_RATE, read_audio

# The receptive field of one frame of wav2vec 2.0's convolutions: shorter audio has no frame.
WINDOW_SAMPLES = 400


class Wav2Vec2Transcriber:
    """Greedy CTC transcripts of a fairseq checkpoint, which is loaded once; on the CPU, in float32.

    Args:
        checkpoint: fairseq's, such as wav2vec_vox_960h_pl.pt; nothing stored in it is executed. One that does
            not carry its dictionary needs it beside itself (`dict.ltr.txt`).
    Raises:
        FileNotFoundError: when there is no such file, or its dictionary is missing.
        CheckpointError: when it is no wav2vec 2.0 CTC model for 16 kHz.
    """

    def __init__(self, checkpoint: Path) -> None:
        if not checkpoint.is_file():
            raise FileNotFoundError(f"{checkpoint}: no such checkpoint")
        model, task = _load(checkpoint)
        if task.cfg.sample_rate != SAMPLE_RATE:
            raise CheckpointError(f"{checkpoint}: for speech at {task.cfg.sample_rate} Hz, not {SAMPLE_RATE}")
        self.name = f"fairseq {checkpoint.name}, greedy CTC"
        self._dictionary: Dictionary = task.target_dictionary
        self._blank = self._dictionary.index(task.blank_symbol)
        self._pieces: str = task.cfg.eval_wer_post_process
        self._normalize = bool(task.cfg.normalize)
        self._model = model.eval().requires_grad_(False)

    @torch.inference_mode()
    def log_probabilities(self, wav: Path) -> Tensor:
        """Log-probabilities `[frames of 20 ms, symbols]` of a file; see `read_audio`."""
        source = torch.from_numpy(read_audio(wav, sample_rate=SAMPLE_RATE)).unsqueeze(0)
        if source.shape[1] < WINDOW_SAMPLES:
            return torch.zeros(0, len(self._dictionary))
        if self._normalize:
            source = functional.layer_norm(source, source.shape)
        output = self._model(source=source, padding_mask=None)
        probabilities: Tensor = self._model.get_normalized_probs(output, log_probs=True)[:, 0]
        return probabilities

    def transcribe(self, wav: Path) -> str:
        """Return the transcript of an audio file: the best symbol of each frame, without repeats and blanks.

        Raises:
            AudioError: if the file cannot be read.
        """
        best = torch.unique_consecutive(self.log_probabilities(wav).argmax(dim=1))
        symbols = best[(best != self._blank) & (best >= self._dictionary.nspecial)]
        text: str = post_process(self._dictionary.string(symbols), self._pieces)
        return " ".join(text.split())


def _load(checkpoint: Path) -> tuple[Wav2VecCtc, AudioFinetuningTask]:
    """Model and task of a checkpoint, by fairseq's own loading code with safe loading on."""
    compat.apply()
    # The task's state carries the dictionary of the labels: a list of symbols and counts.
    torch.serialization.add_safe_globals([Dictionary])
    try:
        (model,), _, task = checkpoint_utils.load_model_ensemble_and_task(
            [str(checkpoint)], arg_overrides={"data": str(checkpoint.parent)}
        )
        if not isinstance(model, Wav2VecCtc) or task.target_dictionary is None:
            raise CheckpointError(f"{checkpoint}: a {type(model).__name__}, not fine-tuned with CTC labels")
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{checkpoint}: not a fairseq checkpoint (no {error})") from error
    except (RuntimeError, OSError, AssertionError) as error:
        raise CheckpointError(f"{checkpoint}: cannot be loaded as a wav2vec 2.0 model: {error}") from error
    return model, task
