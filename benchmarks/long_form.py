"""Words lost or repeated where a long stream is cut, with a trained model.

    python -m benchmarks.long_form --checkpoint CKPT --data-bin DATA --sources wav_list.txt

Each source is translated alone; then all of them as one stream, with pauses between them. Where the text of
the stream differs from the texts of its parts, in order, words are lost, repeated or changed. A model that
has heard neither pauses nor several sentences in training (the quickstart's) cannot do it.
"""

import argparse
import difflib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echostream.data.audio import SAMPLE_RATE, read_audio
from echostream.inference.options import Output, SessionOptions
from echostream.inference.outputs import StepOutput
from echostream.inference.translator import StreamingTranslator
from echostream.inference.translator_loading import load_translator


def translate(
    translator: StreamingTranslator, samples: npt.NDArray[np.float32], **options: Any
) -> tuple[list[str], list[str], int]:
    """Words of the transcription and of the translation, and the number of text segments."""
    session = translator.start(sample_rate=SAMPLE_RATE, **options)
    outputs: list[StepOutput] = []
    for begin in range(0, len(samples), 5120):
        outputs.append(session.step(samples[begin : begin + 5120], is_final=begin + 5120 >= len(samples)))
    source = [word.text for output in outputs for word in output.source_words]
    target = [word.text for output in outputs for word in output.target_words]
    return source, target, outputs[-1].num_segments


def differences(expected: list[str], actual: list[str]) -> str:
    """Numbers of words lost, added and changed."""
    lost = added = changed = 0
    matcher = difflib.SequenceMatcher(a=expected, b=actual, autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind != "equal":
            common = min(last - first, end - begin)
            changed += common
            lost += last - first - common
            added += end - begin - common
    return f"{lost} / {added} / {changed} of {len(expected)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data-bin", required=True)
    parser.add_argument("--sources", type=Path, required=True, help="file with one audio path a line")
    parser.add_argument("--pause-ms", type=int, default=1200, help="silence after each source")
    parser.add_argument("--windows-ms", type=int, nargs="+", default=[3000, 6000, 12000])
    parser.add_argument("--repetitions", type=int, default=3, help="times that the sources are said")
    parser.add_argument("--chunk-ms", type=int, default=320)
    args = parser.parse_args()
    options = SessionOptions(output=Output.TEXT, chunk_ms=args.chunk_ms, window_ms=0)
    translator = load_translator(args.checkpoint, data_bin=args.data_bin, options=options)
    parts = [read_audio(path) for path in args.sources.read_text(encoding="utf-8").split()]
    alone = [translate(translator, part) for part in parts] * args.repetitions
    pause = np.zeros(args.pause_ms * SAMPLE_RATE // 1000, dtype=np.float32)
    stream = np.concatenate([piece for part in parts * args.repetitions for piece in (part, pause)])
    seconds = len(stream) / SAMPLE_RATE
    print(f"{len(parts) * args.repetitions} parts, {seconds:.0f} s; lost / added / changed words")
    print("| window, ms | encoder | segments | transcription | translation |\n|---|---|---|---|---|")
    expected = [[word for part in alone for word in part[side]] for side in (0, 1)]
    for window_ms in args.windows_ms:
        for resets_encoder in (False, True):
            source, target, num_segments = translate(
                translator, stream, window_ms=window_ms, resets_encoder=resets_encoder
            )
            name = "starts afresh" if resets_encoder else "runs on"
            columns = [differences(expected[0], source), differences(expected[1], target)]
            print(f"| {window_ms} | {name} | {num_segments} | {columns[0]} | {columns[1]} |")


if __name__ == "__main__":
    main()
