"""Features of a HuBERT layer, and the discrete units that a k-means model makes of them.

Reference: Lee et al., "Textless speech-to-speech translation on real data" (2021): layer 11 of the
multilingual HuBERT, 1000 clusters, one unit for 20 ms.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.models.hubert import HubertModel
from fairseq.tasks.hubert_pretraining import HubertPretrainingTask
from torch import Tensor
from torch.nn import functional

from echostream import compat
from echostream.compat import CheckpointError
from echostream.data.audio import SAMPLE_RATE, AudioError

# The convolutions of HuBERT: a frame is 25 ms of samples, the next one begins 20 ms later.
WINDOW_SAMPLES = 400
HOP_SAMPLES = 320


def num_hubert_frames(num_samples: int) -> int:
    """Frames, and so units with repeats, of `num_samples` samples at 16 kHz."""
    return 0 if num_samples < WINDOW_SAMPLES else 1 + (num_samples - WINDOW_SAMPLES) // HOP_SAMPLES


def _load(checkpoint: Path) -> tuple[HubertModel, HubertPretrainingTask]:
    """Model and task of a checkpoint, by fairseq's own loading code with safe loading on."""
    compat.apply()
    # HuBERT's checkpoints carry the dictionary of their training labels: a list of symbols and counts.
    torch.serialization.add_safe_globals([Dictionary])
    try:
        (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)])
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{checkpoint}: not a fairseq checkpoint (no {error})") from error
    except (RuntimeError, OSError) as error:
        raise CheckpointError(f"{checkpoint}: cannot be loaded as a HuBERT model: {error}") from error
    if not isinstance(model, HubertModel):
        raise CheckpointError(f"{checkpoint}: a {type(model).__name__}, not a HuBERT model")
    return model, task


class HubertFeatures:
    """A HuBERT model cut off behind one of its layers.

    One utterance is read at a time: the first convolution is normalised over the time axis, so that padding
    would change the features.

    Args:
        checkpoint: fairseq's, such as mhubert_base_vp_en_es_fr_it3.pt; nothing stored in it is executed.
        layer: 1 is the first transformer layer.
        device: where the model runs, in float32.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when it is no HuBERT for 16 kHz, or has fewer layers.
    """

    def __init__(self, checkpoint: Path, *, layer: int = 11, device: str | torch.device = "cpu") -> None:
        if not checkpoint.is_file():
            raise FileNotFoundError(f"{checkpoint}: no such checkpoint; check HUBERT_PATH")
        model, task = _load(checkpoint)
        if task.cfg.sample_rate != SAMPLE_RATE:
            raise CheckpointError(f"{checkpoint}: for speech at {task.cfg.sample_rate} Hz, not {SAMPLE_RATE}")
        num_layers = len(model.encoder.layers)
        if not 1 <= layer <= num_layers:
            raise CheckpointError(f"{checkpoint}: has the layers 1 to {num_layers}, not a layer {layer}")
        self.layer = layer
        self.device = torch.device(device)
        self._normalize = bool(task.cfg.normalize)
        self._model = model.eval().requires_grad_(False).to(self.device)
        self.dimension: int = model.encoder.embedding_dim

    @torch.inference_mode()
    def __call__(self, samples: npt.NDArray[np.float32]) -> Tensor:
        """Features `[frames, dimension]` of `[samples]` at 16 kHz in [-1, 1].

        Raises:
            AudioError: when the samples are less than one frame.
        """
        if len(samples) < WINDOW_SAMPLES:
            raise AudioError(
                f"{len(samples)} samples are less than one frame of {WINDOW_SAMPLES} at {SAMPLE_RATE} Hz"
            )
        source = torch.from_numpy(samples).to(self.device).unsqueeze(0)
        if self._normalize:
            source = functional.layer_norm(source, source.shape)
        # Full float32 in convolutions too, so that a GPU finds the CPU's units.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features, _ = self._model.extract_features(
                source, padding_mask=None, mask=False, output_layer=self.layer
            )
        return features[0]


class UnitExtractor:
    """Units of speech: the nearest cluster centre of each HuBERT frame.

    Args:
        features: the HuBERT model.
        centroids: `[units, dimension]`.

    Raises:
        ValueError: when the centres are of another dimension than the features.
    """

    def __init__(self, features: HubertFeatures, centroids: npt.NDArray[np.float32]) -> None:
        if centroids.ndim != 2 or centroids.shape[1] != features.dimension:
            raise ValueError(
                f"the k-means model has centres {list(centroids.shape)}, but HuBERT's features have "
                f"dimension {features.dimension}: HUBERT_PATH and KMEANS_PATH do not belong together"
            )
        self.features = features
        self._centroids = torch.from_numpy(centroids).to(features.device)
        self._half_norms = self._centroids.square().sum(dim=1) / 2

    @torch.inference_mode()
    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Units with repeats, `[frames]`, of `[samples]` at 16 kHz; see `HubertFeatures`."""
        frames = self.features(samples)
        # argmin of |x - c|^2, without the term that is the same for all centres
        units: npt.NDArray[np.int64] = (
            (self._half_norms - frames @ self._centroids.T).argmin(dim=1).cpu().numpy()
        )
        return units
