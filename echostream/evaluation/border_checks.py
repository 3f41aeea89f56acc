"""Borders between the written pieces of a run against one synthesis of each whole utterance."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from echostream.evaluation.output_audio import OutputAudio
from echostream.evaluation.results import ReportError
from echostream.inference.step_record import STEPS_FILE, StepRecord
from echostream.vocoder.border_quality import Border, BorderSummary, measure_border, summarise_borders
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.synthesis import read_units

MAX_UNFIT = 0.1
"""Share of utterances that may not fit their units. A few do not, where the units of the last step came in
two calls, which the record of the steps does not tell apart; more are a sign of another vocoder.
"""


@torch.inference_mode()
def compare_with_whole_synthesis(
    folder: Path, outputs: Mapping[int, OutputAudio], vocoder: CodeHiFiGANVocoder, dur_prediction: bool
) -> tuple[BorderSummary | None, int]:
    """Measure the borders of a run's utterances.

    Args:
        folder: of the run, with unit.txt and steps.jsonl.
        outputs: by position in the log, of utterances that have output.
        vocoder: that made them.
        dur_prediction: whether it predicted durations.
    Returns:
        the measures, None without any border, and the number of utterances that were compared: those of one
        text segment whose samples fit their units.
    Raises:
        ReportError: when files are missing, or too many utterances do not fit their units.
    """
    units, records = _read_units(folder, max(outputs) + 1)
    whole = [place for place in outputs if records[place].num_segments <= 1]
    borders: list[Border] = []
    num_compared = 0
    for place in tqdm(whole, desc="whole synthesis", unit="utterance", disable=None):
        output = outputs[place]
        streamed = torch.from_numpy(output.speech)
        synthesis = _synthesise(units[place], records[place].num_units, vocoder, dur_prediction)
        if synthesis.numel() != streamed.numel() or output.sample_rate != vocoder.sample_rate:
            continue
        num_compared += 1
        begin = 0
        for piece in output.pieces[:-1]:
            begin += piece.size
            borders.append(measure_border(streamed, synthesis, begin, output.sample_rate))
    if num_compared < (1 - MAX_UNFIT) * len(whole):
        raise ReportError(
            f"{folder}: only {num_compared} of {len(whole)} utterances have as many samples as their units "
            "give: --vocoder or --dur-prediction is not what the run had"
        )
    return (summarise_borders(borders) if borders else None), num_compared


def _read_units(folder: Path, least: int) -> tuple[list[list[int]], list[StepRecord]]:
    paths = [folder / "unit.txt", folder / STEPS_FILE]
    for path in paths:
        if not path.is_file():
            raise ReportError(
                f"{path}: not there; the agents write it beside the log, or where "
                "--extra-output-dir says: copy it here, or run it again"
            )
    units = read_units(paths[0])
    records = [StepRecord.from_json(line) for line in paths[1].read_text(encoding="utf-8").splitlines()]
    if not len(units) == len(records) >= least:
        raise ReportError(f"{folder}: unit.txt, {STEPS_FILE} and instances.log are of different runs")
    return units, records


def _synthesise(
    units: list[int], num_units: list[int], vocoder: CodeHiFiGANVocoder, dur_prediction: bool
) -> Tensor:
    """Samples [S] of a whole synthesis, with the durations of units that come in groups of `num_units`."""
    code = torch.tensor([units], dtype=torch.long)
    durations = torch.ones_like(code)
    if dur_prediction:
        state = vocoder.init_state()
        groups = code.split([count for count in num_units if count], dim=1)
        durations = torch.cat(
            [vocoder.streaming_forward(group, state, dur_prediction=True)[1] for group in groups], dim=1
        )
    return vocoder.forward_from_durations(code, durations)
