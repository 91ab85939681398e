#!/usr/bin/env bash
# Sets everything up and runs every test that needs no GPU: quick ones first, then the longer ones.
# Ends with how many tests passed, failed and were skipped, and why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

slow="statistics|robustness|e2e|real|package|slow"  # labels, see tests/README.md
results=build/test-results
gsm8k=../shared/data/gsm8k

tools/setup.sh all
if [[ -d $gsm8k ]]; then
  tools/fetch_data.py gsm8k --from "$gsm8k" >/dev/null
elif [[ ! -d data/gsm8k ]]; then
  echo "No GSM8K: the tests that need it are skipped (tools/fetch_data.py gsm8k brings it)" >&2
fi

rm -rf "$results" && mkdir -p "$results"
failed=0
run() { "$@" || failed=1; }
ctest() { command ctest --preset release --parallel "$(nproc)" --no-tests=ignore "$@"; }
run ctest --output-junit "$PWD/$results/quick.xml" --label-exclude "gpu|$slow"
run .venv/bin/python tests/run_python_tests.py --junit "$results/python.xml"
run ctest --output-junit "$PWD/$results/slow.xml" --label-regex "$slow" --label-exclude gpu
run .venv/bin/python tests/summarise.py "$results"/{quick,python,slow}.xml
exit "$failed"
