"""The baseline at full size against outputs of public StreamSpeech, and its state dict by name and shape."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.models import ARCH_CONFIG_REGISTRY
from torch import Tensor

from echostream.models import StreamSpeechModel
from tests.data.golden.fill_weights import fbank, fill, mt_prefix
from tests.models.tiny_models import fake_task

GOLDEN = Path(__file__).resolve().parent.parent / "data" / "golden" / "streamspeech_chunk8.npz"
NAMES_AND_SHAPES = "ad252cf00fa0f248318de4b3f08999c4ec78b4604809b42c46b1f129fdae5bff"
TOLERANCE = 1e-4
# The model flags of the public training script for simultaneous speech-to-speech translation.
PUBLIC_FLAGS = (
    "--share-decoder-input-output-embed --encoder-normalize-before --decoder-normalize-before "
    "--encoder-layers 12 --encoder-embed-dim 256 --encoder-ffn-embed-dim 2048 --encoder-attention-heads 4 "
    "--decoder-layers 2 --decoder-embed-dim 512 --decoder-ffn-embed-dim 2048 --decoder-attention-heads 8 "
    "--translation-decoder-layers 4 --synthesizer-encoder-layers 2 --synthesizer transformer "
    "--attn-type espnet --pos-enc-type rel_pos --depthwise-conv-kernel-size 31 "
    "--conv-version s2t_transformer --conv-kernel-sizes 5,5 --conv-channels 1024 --conv-out-channels 256 "
    "--speaker-embed-dim 256 --dropout 0.1 --attention-dropout 0.1 "
    "--activation-dropout 0.1 --activation-fn relu "
    "--encoder-freezing-updates 0 --uni-encoder --chunk-size 8 --ctc-upsample-rate 25"
)
PUBLIC_DECODER_ARGS = {
    "decoder_layers": 4,
    "decoder_embed_dim": 512,
    "decoder_ffn_embed_dim": 2048,
    "decoder_attention_heads": 8,
}
PUBLIC_TASKS = {
    "target_unigram": ("transformer", PUBLIC_DECODER_ARGS),
    "source_unigram": ("ctc", {**PUBLIC_DECODER_ARGS, "decoder_layers": 0}),
    "ctc_target_unigram": ("ctc", {**PUBLIC_DECODER_ARGS, "decoder_layers": 0}),
}


@pytest.fixture(scope="module")
def model() -> StreamSpeechModel:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS, allow_abbrev=False)
    StreamSpeechModel.add_args(parser)
    args = parser.parse_args(PUBLIC_FLAGS.split())
    ARCH_CONFIG_REGISTRY["streamspeech"](args)
    args.input_feat_per_channel, args.max_target_positions = 80, 1200
    built = StreamSpeechModel.build_model(args, fake_task(PUBLIC_TASKS, text_entries=6000, unit_entries=1005))
    fill(built)
    return built.eval()


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_names_and_shapes(model: StreamSpeechModel) -> None:
    state = model.state_dict()
    assert len(state) == 654
    lines = sorted(f"{name} {list(tensor.shape)}" for name, tensor in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == NAMES_AND_SHAPES
    assert sum(parameter.numel() for parameter in model.parameters()) == 70_604_768


def test_numbers_at_chunk_8(model: StreamSpeechModel, golden: dict[str, Tensor]) -> None:
    source = fbank()
    with torch.no_grad():
        unit_logits, extra = model(source, torch.tensor([source.size(1)]), None, mt_prefix())
        asr_logits = model.asr_logits(extra["encoder_out"]).transpose(0, 1)
    assert relative_error(extra["encoder_out"]["encoder_out"][0], golden["8/encoder_out"]) < TOLERANCE
    assert relative_error(asr_logits[..., ::50], golden["8/source_unigram"]) < TOLERANCE
    mt_logits = extra["mt_decoder_out"][0]
    assert relative_error(mt_logits[..., ::50], golden["8/none/mt_logits"]) < TOLERANCE
    assert relative_error(unit_logits[..., ::10], golden["8/none/unit_logits"]) < TOLERANCE


def test_numbers_with_streaming_masks(model: StreamSpeechModel, golden: dict[str, Tensor]) -> None:
    source = fbank()
    config = {"k1": 0, "n1": 1, "k2": 0, "n2": 3}
    with torch.no_grad():
        _, extra = model(source, torch.tensor([source.size(1)]), None, mt_prefix(), streaming_config=config)
    assert config == {"k1": 0, "n1": 1, "k2": 0, "n2": 3}
    mt_logits = extra["mt_decoder_out"][0]
    assert relative_error(mt_logits[..., ::50], golden["8/k0n1k0n3/mt_logits"]) < TOLERANCE
    assert relative_error(mt_logits[..., ::50], golden["8/none/mt_logits"]) > 100 * TOLERANCE


def test_offline_size_makes_streaming_masks_of_text_disappear(model: StreamSpeechModel) -> None:
    source, lengths = fbank(), torch.tensor([203])
    config = {"k1": 0, "n1": 1, "k2": 0, "n2": 3}
    with torch.no_grad():
        plain = model(source, lengths, None, mt_prefix(), chunk_size=999)[1]["mt_decoder_out"][0]
        masked = model(source, lengths, None, mt_prefix(), streaming_config=config, chunk_size=999)[1]
    assert masked["visible_frames"].tolist() == [[51] * 11]
    assert relative_error(masked["mt_decoder_out"][0], plain) < 1e-6
