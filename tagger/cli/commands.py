"""The commands of `tagger`: each one parses its options, calls one function and prints the result.

A command imports what it needs when it runs, which keeps `--help` and shell completion fast.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from tagger import __version__
from tagger.cli import console, models
from tagger.cli.check import check
from tagger.cli.completion import prepare_bash
from tagger.cli.config import config
from tagger.cli.convert import convert
from tagger.cli.crossval import crossval
from tagger.cli.curve import curve
from tagger.cli.distill import distill
from tagger.cli.eval import eval_
from tagger.cli.init import init
from tagger.cli.next import next_
from tagger.cli.options import (
    MODEL_HELP,
    Finite,
    chosen_layout,
    engine_options,
    layout_options,
    require_packages,
)
from tagger.cli.predict import OUTPUT_FORMATS, Source
from tagger.cli.pretrain import pretrain
from tagger.cli.ray_option import folders_for_ray, ray_option, refuse_without_ray
from tagger.cli.report import report
from tagger.cli.serve import serve
from tagger.cli.suggestions import Commands
from tagger.cli.suspects import suspects
from tagger.cli.sweep import sweep
from tagger.cli.tagging import Wanted, tag_input
from tagger.cli.threshold import threshold
from tagger.cli.train import train
from tagger.cli.vectors import vectors
from tagger.errors import TaggerError


class _Commands(Commands):
    def invoke(self, ctx: click.Context) -> Any:
        console.require_working_directory()
        try:
            return super().invoke(ctx)
        except EOFError as error:  # click would take it for the end of an answer to a question, and exit silently
            raise TaggerError(f"a compressed file is incomplete: {error}; get it again") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="tagger")
def cli() -> None:
    """Learn from CoNLL files and tag CoNLL files: named entities, chunks, parts of speech."""


cli.add_command(train)
cli.add_command(distill)
cli.add_command(pretrain)
cli.add_command(eval_)  # here, because commands are listed in this order
cli.add_command(report)
cli.add_command(crossval)
cli.add_command(suspects)
cli.add_command(curve)
cli.add_command(sweep)


@cli.command()
@click.argument("file", type=click.Path(), default="-")
@click.argument("out_dir", type=click.Path(), required=False)
@click.option("--text", "is_text", is_flag=True, help="FILE is raw text, as --from text says too.")
@click.option("--from", "read_as", metavar="FORMAT", help="Format of FILE. Default: that which it looks like.")
@click.option("--language", help="Language of text without tokens. Default: that of the training data.")
@click.option(
    "--offsets",
    type=click.Choice(["characters", "utf-16", "bytes"]),
    help="Unit in which FILE and the output count; bytes are those of UTF-8. Default: characters.",
)
@click.option("--scores", is_flag=True, help="Add the probability of each tag as one more column.")
@click.option("--span-scores", is_flag=True, help="Add the probability of each token's span as one more column.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(OUTPUT_FORMATS),
    help="conll: FILE with one more column; jsonl: JSON lines; spans: a table; html: a page; text: entities in"
    " brackets; conllu: entities in MISC; label-studio: predictions to import. Default: conll for CoNLL, conllu for"
    " CoNLL-U, text for text, else jsonl.",
)
@click.option(
    "--min-probability",
    metavar="P|TYPE=P,...",
    help="Leave out less probable spans, e.g. 0.5 or 0.5,PER=0.9. Not for conll.",
)
@click.option(
    "--nbest",
    "n_best",
    type=click.IntRange(min=1, max=100),
    metavar="N",
    help="Write the N likeliest sequences of each sentence: as columns, or with their probabilities in jsonl.",
)
@click.option("--line-buffered", is_flag=True, help="Tag each sentence as soon as it is read.")
@ray_option
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="With --ray: processes that tag. Default: one a core."
)
@engine_options
@layout_options
def predict(
    file: str,
    out_dir: str | None,
    is_text: bool,
    read_as: str | None,
    language: str | None,
    offsets: str | None,
    scores: bool,
    span_scores: bool,
    format_: str | None,
    min_probability: str | None,
    n_best: int | None,
    line_buffered: bool,
    ray: str | None,
    workers: int | None,
    model_dir: str | None,
    device: str,
    threads: int | None,
    **layout_options: str | None,
) -> None:
    """Tag FILE or standard input.

    FILE is CoNLL, raw text, or anything else that tagger convert reads. CoNLL is written back line by line, with the
    tag as one more column; other files, or another --format, show the entities.

    With --ray, FILE and OUT_DIR are folders: each file in the first one becomes a file in the second one.
    """
    wanted = Wanted(
        is_text=is_text,
        read_as=read_as,
        language=language,
        offsets=offsets,
        scores=scores,
        span_scores=span_scores,
        format_=format_,
        min_probability=min_probability,
        n_best=n_best or 0,
        **layout_options,
    )
    if ray is None:
        refuse_without_ray(out_dir, workers)
    else:
        alone = {"--line-buffered": line_buffered, "--threads": threads is not None, "--device gpu": device != "cpu"}
        source, target = folders_for_ray(file, out_dir, alone)
        from tagger.cli.predict_folder import predict_folder

        predict_folder(ray, source, target, model_dir, wanted, workers)
        return
    models.require_input(file)
    predictor = models.load_predictor(model_dir, device, threads)
    at_terminal = file == "-" and sys.stdin is not None and sys.stdin.isatty()

    def begin(source: Source) -> None:
        if at_terminal:
            console.say(source.prompt)

    tag_input(predictor, file, wanted, console, line_buffered=line_buffered or at_terminal, begin=begin)


@cli.command()
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.argument("file", type=click.Path(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option(
    "--samples",
    type=click.IntRange(min=100),
    default=10_000,
    show_default=True,
    help="Number of samples for each method.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the samples.")
@layout_options
def compare(
    first: str, second: str, file: str | None, as_json: bool, samples: int, seed: int, **layout_options: str | None
) -> None:
    """Test whether one model is better than another, or only luckier.

    Prints the F1 of FIRST and SECOND on FILE (accuracy if the tags are plain), a bootstrap interval of the
    difference, and the p-value of paired approximate randomization. FILE defaults to the test file of FIRST's
    config. FILE cannot be a pipe, because it is read twice.
    """
    predictors = models.load_predictor(first, "cpu", None), models.load_predictor(second, "cpu", None)
    manifests = [predictor.model.manifest for predictor in predictors]
    known = tuple(name for manifest in manifests for name in manifest.layout.feature_names)
    layouts = [chosen_layout(manifest, known, **layout_options) for manifest in manifests]
    from tagger.cli.reports import format_comparison
    from tagger.corpus.schemes import NO_SCHEME
    from tagger.evaluation.evaluate import compare_on_file, gold_files

    paths = gold_files(predictors[0].model, file)
    models.require_input(*paths)
    found = compare_on_file(*predictors, paths, (layouts[0], layouts[1]), samples=samples, seed=seed, note=console.say)
    what = "accuracy" if predictors[0].model.manifest.notation.scheme == NO_SCHEME else "F1"
    text = json.dumps(found.to_json()) + "\n" if as_json else format_comparison(found, (first, second), what)
    console.write(text.encode())


@cli.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "onnx-int8", "saved-model"]),
    default="onnx",
    show_default=True,
    help="onnx: one file; onnx-int8: one file with 8-bit weights; saved-model: a directory for TensorFlow Serving.",
)
@click.option(
    "--test",
    type=click.Path(),
    metavar="FILE",
    help="For onnx-int8: gold file to measure the loss of F1 on. Default: the test file of the model's config.",
)
@click.option(
    "--max-loss",
    type=Finite(min=0, max=100),
    metavar="POINTS",
    help="For onnx-int8: largest loss of F1, in percentage points. Default: 0.2.",
)
@click.option("--model", "model_dir", type=click.Path(), help=MODEL_HELP)
def export(out: Path, format_: str, test: str | None, max_loss: float | None, model_dir: str | None) -> None:
    """Write a model's network to OUT, for other tools to serve.

    The inputs are the ids of the tokens and of everything else that the network reads; the output is a logit for each
    tag. See docs/serving.md. OUT must not exist yet.
    """
    is_quantized = format_ == "onnx-int8"
    for option, value in (("--test", test), ("--max-loss", max_loss)):
        if value is not None and not is_quantized:
            raise click.UsageError(f"{option}: found it with --format {format_}, expected onnx-int8; leave it out")
    if max_loss is not None and math.isnan(max_loss):  # it is in every range for click
        raise click.BadParameter("nan is not in the range 0<=x<=100.", param_hint="'--max-loss'")
    require_packages("tensorflow", "onnx")
    from tagger.network.serving import check_new, export_network, quantization_loss

    directory = models.model_path(model_dir)
    check_new(out)
    if is_quantized:
        loss = quantization_loss(directory, test, 0.2 if max_loss is None else max_loss)
        console.say("no gold file: the loss was not measured" if loss is None else str(loss))
    export_network(directory, out, format_)
    console.say(f"the network is in {out}")


cli.add_command(serve)
cli.add_command(next_)
cli.add_command(threshold)
cli.add_command(init)
cli.add_command(config)
cli.add_command(check)
cli.add_command(convert)
cli.add_command(vectors)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def doctor(as_json: bool) -> None:
    """Print what a bug report needs, and test the kernel.

    The report lists versions, devices, threads and the kernel that training would use. Exits with 1 if the kernel
    computes wrong results on this machine.
    """
    require_packages("tensorflow")
    from tagger.network.doctor import examine, format_facts
    from tagger.wording import as_text

    facts, test = examine()
    numbers = {name: None if value != value else value for name, value in dataclasses.asdict(test).items()}
    facts["self-test"] = numbers | {"passed": test.passed}  # JSON has no NaN
    console.write((json.dumps(facts) + "\n" if as_json else as_text(format_facts(facts).splitlines())).encode())
    if not test.passed:
        raise TaggerError(
            f"{test.kernel}: found errors of {test.value_error:.2g} in its values and {test.gradient_error:.2g} in its"
            " gradients, expected at most 1e-4: models trained with it would be wrong; install another version of"
            " TensorFlow, and report this"
        )


def main() -> NoReturn:
    """Run the `tagger` command and end the process."""
    console.prepare_process()
    if os.environ.get("_TAGGER_COMPLETE") == "bash_source":
        prepare_bash()
    console.end_process(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    return console.run(cli, arguments)
