"""`echostream-eval`: SimulEval's command line with the repairs made and the metrics chosen by the task.

All options are SimulEval's and the agent's, and what is given wins over what is chosen here:

- `--task s2st|s2tt|asr|tts` stands for `--agent-class` with the agent of that name;
- `--latency-metrics` are all that fit the output, `--quality-metrics` those of the task;
- `--computation-aware` is on, `--no-computation-aware` leaves it out;
- `--asr-model whisper` scores speech, unless `--asr-model` or `--asr-command` says otherwise.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import simuleval.cli
import yaml
from simuleval import options
from simuleval.utils import EVALUATION_SYSTEM_LIST
from simuleval.utils.agent import get_agent_class
from simuleval.utils.arguments import check_argument

from echostream.evaluation.asr_bleu import ASR_BLEU, NO_SILENCE
from echostream.evaluation.asr_models import WHISPER, add_asr_args
from echostream.evaluation.transcription import TranscriptionError
from echostream.inference.options import Output

AGENTS = {
    "s2st": "echostream.agents.s2st.EchoStreamS2STAgent",
    "s2tt": "echostream.agents.s2tt.EchoStreamS2TTAgent",
    "asr": "echostream.agents.asr.EchoStreamASRAgent",
    "tts": "echostream.agents.tts.EchoStreamTTSAgent",
}
TEXT_LATENCIES = (
    *("AL", "LAAL", "AP", "DAL", "ATD", "StartOffset", "EndOffset"),
    *("NumChunks", "RTF", "ProcessingRTF"),
)
SPEECH_LATENCIES = (*TEXT_LATENCIES, "DiscontinuitySum", "DiscontinuityAve", "DiscontinuityNum")
TRANSLATION_QUALITIES = ("BLEU", "CHRF")
RECOGNITION_QUALITIES = ("WER",)
SPEECH_QUALITIES = (ASR_BLEU, ASR_BLEU + NO_SILENCE)

# Modes in which SimulEval starts no agent here, or only serves one: nothing is chosen for them.
PASSED_ON = ("remote_eval", "standalone", "slurm")


@dataclass(frozen=True)
class Kind:
    """What an evaluation takes and gives, by SimulEval's words."""

    source_type: str
    target_type: str
    is_recognition: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    own, arguments = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    if own.task is not None:
        arguments = ["--agent-class", AGENTS[own.task], *arguments]
    # SimulEval reads its options from here, in several places.
    sys.argv = [parser.prog, *arguments]
    try:
        if not any(map(check_argument, PASSED_ON)):
            kind = _logged_kind(own.task) if check_argument("score_only") else _agent_kind(parser)
            sys.argv[1:1] = chosen_options(kind, arguments, aware=not own.no_computation_aware)
        simuleval.cli.main()
    except TranscriptionError as error:
        parser.exit(1, f"error: {error}\n")


def chosen_options(kind: Kind, arguments: Sequence[str], *, aware: bool = True) -> list[str]:
    """The options that stand before the given ones, which win.

    Args:
        kind: what is evaluated.
        arguments: the given options.
        aware: computation-aware latencies too, where SimulEval has them.
    """
    speaks = kind.target_type == "speech"
    latencies = SPEECH_LATENCIES if speaks else TEXT_LATENCIES
    qualities = RECOGNITION_QUALITIES if kind.is_recognition else TRANSLATION_QUALITIES
    chosen = ["--latency-metrics", *latencies]
    chosen += ["--quality-metrics", *(SPEECH_QUALITIES if speaks else qualities)]
    if aware and (kind.source_type, kind.target_type) != ("text", "text"):
        chosen.append("--computation-aware")
    final = _scoring_options([*chosen, *arguments])
    scores_speech = any(name.startswith(ASR_BLEU) for name in final.quality_metrics)
    if scores_speech and final.asr_model is None and final.asr_command is None:
        chosen += ["--asr-model", WHISPER]
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="echostream-eval",
        description="Evaluate a simultaneous system: SimulEval with EchoStream's repairs and scorers.",
        epilog="The others are SimulEval's and the agent's: echostream-eval --task s2st --help lists them.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--task", choices=AGENTS, help="the agent, in place of --agent-class or --agent")
    parser.add_argument(
        "--no-computation-aware", action="store_true", help="ideal latencies only: computing takes no time"
    )
    return parser


def _scoring_options(arguments: Sequence[str]) -> argparse.Namespace:
    """What SimulEval will understand of the options of its evaluator, and of the recogniser's."""
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    options.add_evaluator_args(parser)
    add_asr_args(parser)
    known, _ = parser.parse_known_args(arguments)
    return known


def _agent_kind(parser: argparse.ArgumentParser) -> Kind:
    """What the agent of the options takes and gives."""
    num_registered = len(EVALUATION_SYSTEM_LIST)  # by --user-dir, which is imported once only
    if not num_registered and not any(map(check_argument, ("agent", "agent_class", "system_dir"))):
        if {"-h", "--help"} & set(sys.argv):
            parser.print_help()
            parser.exit()
        parser.error("say what to evaluate: --task, --agent-class or --agent; --help says more")
    agent = get_agent_class()
    del EVALUATION_SYSTEM_LIST[num_registered:]  # SimulEval adds it again
    is_recognition = getattr(agent, "output", None) is Output.TRANSCRIPTION
    return Kind(agent.source_type, agent.target_type, is_recognition)


def _logged_kind(task: str | None) -> Kind:
    """What a finished run took and gave.

    Raises:
        FileNotFoundError: when the folder holds no run.
    """
    output = _scoring_options(sys.argv[1:]).output
    path = Path(output or ".") / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: --score-only needs --output, the folder of a finished run")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Kind(config["source_type"], config["target_type"], task == "asr")


if __name__ == "__main__":
    main()
