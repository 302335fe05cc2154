#!/usr/bin/env bash
# Make a tiny model with the last version of tagger that wrote each format: tests/old_models/FORMAT/.
# Needs the repository's history, and an environment with tagger's dependencies.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2>/dev/null || true; rm -rf "$work" train c.yaml .tagger-model' EXIT
printf 'w1 B-X\nw2 O\n\nw2 O\nw1 B-X\n' > train
# The commits before those that wrote formats 2 and 3.
for format_and_commit in 1:391800e^ 2:f8219c7^; do
    format=${format_and_commit%%:*}
    git worktree add --force --detach "$work/tree" "${format_and_commit#*:}" > /dev/null
    printf 'data: {train: train, dev: train}\nmodel: {units: 2, embedding_dim: 2}\ntraining: {epochs: 1}\n' > c.yaml
    rm -rf "$format" .tagger-model
    PYTHONPATH="$work/tree" python -m tagger train c.yaml --model "$format"
    git worktree remove --force "$work/tree"
done
