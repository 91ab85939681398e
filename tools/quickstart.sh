#!/usr/bin/env bash
# From a fresh checkout to a first result: sets everything up, then compares four samplers on a real
# small model. Safe to run again: a second run needs seconds, a finished experiment is only shown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/setup.sh programs
./run_experiment configs/quickstart.yaml

run=runs/quickstart
printf '\nResult table  %s\nTrace file    %s\n' "$run/results.csv" "$run/traces.h5"
if [[ -f $run/report.html ]]; then printf 'Report        %s\n' "$run/report.html"; fi
