"""Prepare CVSS-C and CoVoST 2 for training and evaluation, one step at a time.

    python -m echostream.cvss.prepare pairs --output DATA --covost-root COVOST --cvss-root CVSS --src-lang fr

Steps, in their order: pairs, features, units, vocabulary, cmvn, manifests, lists. Each can be repeated: what
is done already is kept. The steps features and units can be divided among machines (--shard, --num-shards).
scripts/fr-en/prepare.sh runs them all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from echostream.corpus.steps import Steps
from echostream.cvss.blocks import Shard, run_blocks
from echostream.cvss.feasibility import Limits
from echostream.cvss.features import CMVN, SOURCES_OF_FEATURES, FeatureWork, write_cmvn
from echostream.cvss.manifests import ManifestWriter, write_lists
from echostream.cvss.pairs import write_pairs
from echostream.cvss.sources import LANGUAGES, Sources
from echostream.cvss.units import UnitModels, UnitWork
from echostream.cvss.vocabularies import Vocabularies, write_vocabularies
from echostream.data.fbank import GlobalCMVN


def _sources(args: argparse.Namespace) -> Sources:
    return Sources(args.covost_root, args.cvss_root, args.src_lang)


def _vocabularies(args: argparse.Namespace) -> Vocabularies:
    return Vocabularies(args.output, args.src_lang, args.vocab_size)


def _pairs(args: argparse.Namespace) -> None:
    write_pairs(_sources(args), args.output, skip_unusable=args.skip_unusable, log=print)


def _features(args: argparse.Namespace) -> None:
    _run(args, FeatureWork(_sources(args), args.source))


def _units(args: argparse.Namespace) -> None:
    models = UnitModels(args.hubert, args.kmeans, args.layer, args.device)
    _run(args, UnitWork(_sources(args), models, models.fingerprint()))


def _run(args: argparse.Namespace, work: FeatureWork | UnitWork) -> None:
    run_blocks(
        args.output,
        work,
        num_workers=args.num_workers,
        shard=Shard(args.shard, args.num_shards),
        skip_unusable=args.skip_unusable,
        log=print,
    )


def _vocabulary(args: argparse.Namespace) -> None:
    write_vocabularies(_vocabularies(args), {"src": args.spm_src, "tgt": args.spm_tgt}, log=print)


def _cmvn(args: argparse.Namespace) -> None:
    if args.gcmvn is not None:
        GlobalCMVN.from_npz(args.gcmvn)
        shutil.copyfile(args.gcmvn, args.output / CMVN)
        print(f"  {CMVN}: a copy of {args.gcmvn}")
        return
    print(f"  {CMVN}: mean and standard deviation of {write_cmvn(args.output)} training frames")


def _manifests(args: argparse.Namespace) -> None:
    limits = Limits(args.ctc_upsample_rate, args.max_units)
    writer = ManifestWriter(
        args.output, _vocabularies(args), limits, skip_unusable=args.skip_unusable, log=print
    )
    writer.write(args.configs)


def _lists(args: argparse.Namespace) -> None:
    write_lists(_sources(args), args.output, log=print)


STEPS: dict[str, tuple[Callable[[argparse.Namespace], None], str]] = {
    "pairs": (_pairs, "which clips have texts and speech on both sides"),
    "features": (_features, "source fbank, its lengths and moments"),
    "units": (_units, "target units by mHuBERT and k-means"),
    "vocabulary": (_vocabulary, "sentencepiece models and dictionaries"),
    "cmvn": (_cmvn, "global mean and standard deviation of the training features"),
    "manifests": (_manifests, "fairseq's manifests, text targets and configuration files"),
    "lists": (_lists, "SimulEval's lists"),
}


def _add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="the corpus folder; made if needed")
    if name in {"pairs", "features", "units", "lists"}:
        parser.add_argument("--covost-root", type=Path, required=True, help="Common Voice 4 with CoVoST 2")
        parser.add_argument("--cvss-root", type=Path, required=True, help="CVSS-C of the language, unpacked")
    if name == "cmvn":
        parser.add_argument("--gcmvn", type=Path, help="statistics to use (npz with mean and std)")
    else:
        parser.add_argument("--src-lang", choices=sorted(LANGUAGES), default="fr")
    if name in {"pairs", "features", "units", "manifests"}:
        parser.add_argument(
            "--skip-unusable",
            action="store_true",
            help="leave out pairs whose audio is missing or unreadable",
        )
    if name in {"features", "units"}:
        parser.add_argument("--num-workers", type=int, default=1, help="processes")
        parser.add_argument("--shard", type=int, default=0, help="which part of the work, from 0")
        parser.add_argument("--num-shards", type=int, default=1)
    if name == "features":
        parser.add_argument(
            "--source", choices=SOURCES_OF_FEATURES, default="fbank", help="fbank archives or the mp3 files"
        )
    if name == "units":
        parser.add_argument("--hubert", type=Path, required=True, help="fairseq's mHuBERT checkpoint")
        parser.add_argument("--kmeans", type=Path, required=True, help="k-means model: joblib's file or npz")
        parser.add_argument("--layer", type=int, default=11)
        parser.add_argument("--device", default="cpu")
    if name in {"vocabulary", "manifests"}:
        parser.add_argument("--vocab-size", type=int, default=6000, help="pieces of each side")
    if name == "vocabulary":
        for side in ("src", "tgt"):
            parser.add_argument(
                f"--spm-{side}",
                type=Path,
                help="a sentencepiece model to use, with its dictionary (.txt) beside it",
            )
    if name == "manifests":
        parser.add_argument("--configs", type=Path, required=True, help="the folder configs/fr-en")
        parser.add_argument("--ctc-upsample-rate", type=int, default=25)
        parser.add_argument(
            "--max-units", type=int, default=1200, help="as --max-target-positions; 0: any number"
        )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m echostream.cvss.prepare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="step", required=True)
    for name, (_, text) in STEPS.items():
        _add_arguments(name, commands.add_parser(name, help=text))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; errors are one line on stderr and exit status 1."""
    args = parse(arguments)
    try:
        # Refuses a folder with other contents, and marks a new one as this tool's.
        Steps(args.output, print)
        print(f"[{args.step}]", flush=True)
        STEPS[args.step][0](args)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
