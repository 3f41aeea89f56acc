"""Record the greedy CTC paths of a trained model: how tests/data/ctc_paths.json was made.

    python tests/data/record_ctc_paths.py runs/quickstart/model/checkpoint_last.pt runs/quickstart/data

The model is the quickstart's, on the eight sentences that it has learned, in segments of 320 ms.
"""

import json
import sys
from pathlib import Path

import torch

from echostream.data.audio import read_audio
from echostream.data.fbank import FrontEnd
from echostream.inference.loading import load_model


@torch.inference_mode()
def main(checkpoint: str, data: str) -> None:
    loaded = load_model(checkpoint, data_bin=data)
    paths = []
    for audio in (Path(data) / "simuleval/train/wav_list.txt").read_text(encoding="utf-8").split():
        features = FrontEnd(loaded.cmvn).forward(read_audio(audio), 16000).unsqueeze(0)
        encoder_out = loaded.model.encoder(features, torch.tensor([features.size(1)]), chunk_size=8)
        labels = [
            logits(encoder_out)[0].argmax(dim=1).tolist()
            for logits in (loaded.model.asr_logits, loaded.model.st_logits)
        ]
        paths.append({"asr": labels[0], "st": labels[1]})
    output = Path(__file__).parent / "ctc_paths.json"
    output.write_text(json.dumps(paths, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
