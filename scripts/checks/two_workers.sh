#!/usr/bin/env bash
# Two workers on one machine train one model, or pretrain: each gets half of every batch, or of the streams of the text.
#
#   scripts/checks/two_workers.sh train CONFIG [options of tagger train]
#   scripts/checks/two_workers.sh pretrain RAW -o DIR [options of tagger pretrain]
#
# On two machines, run the same command on each with its own TF_CONFIG: the same cluster, another index.
set -euo pipefail
free_ports='import socket; s = [socket.create_server(("localhost", 0)) for _ in range(2)]
print(*(x.getsockname()[1] for x in s))'
read -r first second < <(python -c "$free_ports")
cluster="{\"worker\": [\"localhost:$first\", \"localhost:$second\"]}"
pids=()
# Whatever ends this script ends the workers: at first as Ctrl-C would, then for good.
trap 'kill -INT "${pids[@]}" 2>/dev/null || true' INT TERM
trap 'kill -KILL "${pids[@]}" 2>/dev/null || true' EXIT
for index in 0 1; do
    TF_CONFIG="{\"cluster\": $cluster, \"task\": {\"type\": \"worker\", \"index\": $index}}" \
        python -m tagger "$@" 2> >(sed "s/^/worker $index: /" >&2) &
    pids+=($!)
done
code=0
for pid in "${pids[@]}"; do
    while true; do
        ended=0
        wait "$pid" || ended=$?
        kill -0 "$pid" 2>/dev/null || break # else a signal ended `wait`, not the worker
    done
    [ "$ended" -eq 0 ] || code=$ended
done
exit "$code"
