"""The command `tagger check`."""

from __future__ import annotations

from pathlib import Path

import click

from tagger.cli import console
from tagger.cli.options import layout_options, options_named, parse_columns, require_corpus, require_packages
from tagger.corpus.schemes import SCHEME_NAMES


@click.command()
@click.argument("files", type=click.Path(), nargs=-1, metavar="[FILE]...")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Check the files of this config, with its settings for reading them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--all", "all_problems", is_flag=True, help="Show each problem, instead of equal ones in one line.")
@click.option("--fix", metavar="OUT", type=click.Path(), help="Write a copy of FILE with repaired IOB2 tags to OUT.")
@click.option("--force", is_flag=True, help="Let --fix replace an existing OUT.")
@click.option("--scheme", type=click.Choice(["auto", *SCHEME_NAMES]), help="Scheme of the tags. Default: auto.")
@click.option("--unknown-tag", metavar="TAG", help="Tag of tokens that are not annotated, such as '?'.")
@click.option("--language", metavar="LANGUAGE", help="Compare the tokens with those of the tokenizer of this language.")
@layout_options
def check(
    files: tuple[str, ...],
    config: Path | None,
    as_json: bool,
    all_problems: bool,
    fix: str | None,
    force: bool,
    scheme: str | None,
    unknown_tag: str | None,
    language: str | None,
    columns: str | None,
    delimiter: str | None,
    encoding: str | None,
) -> None:
    """Show the problems, the format and the contents of CoNLL files.

    The first file is treated as the training file: sentences of other files that also occur in it are reported. Exits
    with 1 if there are errors, which are problems that training refuses. Problems that training accepts are warnings.
    """

    from tagger.check.repair import fix_file
    from tagger.check.several import check_files
    from tagger.cli.reports import format_check
    from tagger.corpus.lines import files_of

    n_train, labels, features = 1, None, None
    settings = {
        "columns": None if columns is None else parse_columns(columns),
        "delimiter": delimiter,
        "encoding": encoding,
        "scheme": scheme,
        "unknown_tag": unknown_tag,
        "language": language,
    }
    if config is not None:
        require_packages("pydantic", "yaml")
        from tagger.config.loading import load_config

        console.refuse_own_output(config)
        loaded = load_config(config)
        data, features = loaded.data, loaded.features
        if not files:
            n_train = len(files_of(data.train))
            given_paths = (paths for paths in (data.train, data.dev, data.test) if isinstance(paths, str | list))
            files = tuple(path for paths in given_paths for path in files_of(paths))
        labels = data.labels.rules()
        names = ("encoding", "scheme", "comments", "tag_key", "several_tags", "ragged", "unknown_tag", "language")
        from_config = {name: getattr(data, name) for name in names} | data.conversion
        settings = from_config | {name: value for name, value in settings.items() if value is not None}
    if not files:
        raise click.UsageError("found no FILE and no --config, expected the files to check")
    if fix is not None and len(files) != 1:
        raise click.UsageError(f"--fix: found {len(files)} files, expected one; fix them one by one")
    if force and fix is None:
        raise click.UsageError("--force: found no --fix OUT, expected one; it replaces an existing OUT")
    for file in files:
        console.refuse_own_output(file)
        require_corpus(file, model="name its training file", config=f"pass it with --config {file}")
    given = {name: value for name, value in settings.items() if value is not None}
    with options_named():
        reports = check_files(files, given, as_training=config is not None, n_train=n_train, labels=labels)
    if features is not None:
        from tagger.check.lexicons import with_lexicons  # needs pydantic, as every config does

        reports = with_lexicons(reports, features, n_train)
    changes = None if fix is None else fix_file(reports[0], fix, force=force)
    text = format_check(reports, changes, as_json=as_json, all_problems=all_problems)
    if as_json:
        console.write(text.encode())
    else:
        console.show(text)
    if any(report.n_errors for report in reports):
        click.get_current_context().exit(1)
