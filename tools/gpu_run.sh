#!/usr/bin/env bash
# tools/gpu_run.sh [OUT]: everything that waits for a GPU, in the order of what is missed most.
# Results go to OUT (default gpu-results): land them under docs/results/ with the device's name.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-results}
mkdir -p "$out"
python=${PYTHON:-.venv/bin/python}
failed=0

step() {  # step NAME COMMAND…: run it, keep its output, go on after a failure
  local name=$1
  shift
  echo "== $name"
  if "$@" >"$out/$name.txt" 2>&1; then tail -n 20 "$out/$name.txt"; else
    failed=1
    echo "FAILED: $name"
    tail -n 40 "$out/$name.txt"
  fi
}

"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "there is no CUDA device here" >&2; exit 2; }
"$python" -c 'import torch; print(torch.cuda.get_device_name(), torch.__version__)' | tee "$out/device.txt"

# 1. Tests that need a device: agreement with the CPU, resume, memory.
step tests "$python" -m pytest -q -m gpu tests/models tests/daemon
# 2. The training step beside the plain one, at three sizes.
step single_image_step "$python" benchmarks/single_image.py --device cuda --json
# 3. Time to a finished harmonization model and to a fine-tune, in every quality, with pictures.
step harmonize_whole "$python" benchmarks/harmonize_whole.py --device cuda --out "$out/harmonize"
# 4. Poisson blending with tensors on the device.
step poisson "$python" benchmarks/poisson.py --device cuda --json
exit $failed
