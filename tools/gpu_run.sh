#!/usr/bin/env bash
# tools/gpu_run.sh [OUT [PICTURES]]: everything that waits for a GPU, in the order of what is missed most.
# PICTURES: a folder or zip with one sub-folder per class, for the training of the default pack.
# Results go to OUT (default gpu-results): land them under docs/results/ with the device's name.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-results}
pictures=${2:-}
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

# 0. A better default pack: 128 px, wider, longer. Put it under models/intarsia_models/packs, train a
#    classifier beside it (python -m intarsia_models.evaluation), and run `make evaluate`.
if [ -n "$pictures" ]; then
  step train_pack "$python" -m intarsia_models.gan_training pack "$pictures" --out "$out/training" \
    --pack "$out/pack128" --title "${TITLE:-Fruit and vegetables, 128 px}" --licence "${LICENCE_NOTE:-}" \
    --classes "${CLASSES:-}" --least-purity "${PURITY:-0.35}" --resolution 128 --accelerator cuda --examples 6 \
    --devices "${DEVICES:-1}" --set small=true --set width=32 --set critic_width=32 --set batch=64 \
    --set iterations=60000 --set flips=both --set beta2=0.99 --set diversity_weight=0.2 \
    --set generator_rate=1.5e-4 --set critic_rate=6e-4 \
    --encoder-set width=24 --encoder-set iterations=30000 --encoder-set flips=both \
    --auxiliary-set hidden=320 --auxiliary-set extended_dim=2048 --auxiliary-set iterations=20000
  # Its regressor, and a better one for the shipped pack: land model/regressor.safetensors with both cards.
  for pack in "$out/pack128" models/intarsia_models/packs/produce64; do
    step "train_regressor_$(basename "$pack")" "$python" -m intarsia_models.latent_composition pack --pack "$pack" \
      --out "$out/regressor_$(basename "$pack")" --pictures "$pictures" --least-purity "${PURITY:-0.35}" --accelerator cuda \
      --devices "${DEVICES:-1}" --quality normal --set width=48 --set batch=32 --set iterations=40000 \
      --set real_share=0.4 --set flips=both
  done
else
  echo "no pictures were given: the default pack is not trained"
fi
# Models of parts at 64, 128 and 256 px on PARTS_PICTURES (things with parts of their own, such as clothes laid flat;
# a folder or zip with labels.csv whose split "val" is measured): land the best as packs/patches<side>.
if [ -n "${PARTS_PICTURES:-}" ]; then
  for side in 64 128 256; do
    step "train_patches_$side" "$python" -m intarsia_models.key_patches pack "$PARTS_PICTURES" --out "$out/patches_$side" \
      --pack "$out/patches$side" --title "${PARTS_TITLE:-Wholes from parts}, $side px" --licence "${PARTS_LICENCE:-}" \
      --classes "${PARTS_CLASSES:-}" --resolution "$side" --accelerator cuda --devices "${DEVICES:-1}" --quality normal \
      --set width=32 --set critic_width=32 --set embedding=128 --set candidates=6 --set variable_parts=true
  done
fi
# A guided mosaic of the paper's size: one sub-folder of MOSAIC_TEMPLATES per set, pictures to follow in
#    MOSAIC_CONTENTS. Put the pack under models/intarsia_models/packs if it is good at first sight.
if [ -n "${MOSAIC_TEMPLATES:-}" ] && [ -n "${MOSAIC_CONTENTS:-}" ]; then
  step train_mosaic "$python" -m intarsia_models.mosaic pack "$MOSAIC_TEMPLATES" --sets --contents "$MOSAIC_CONTENTS" \
    --out "$out/mosaic_training" --pack "$out/mosaic256" --title "${MOSAIC_TITLE:-Mosaics of any templates}" \
    --licence "${LICENCE_NOTE:-}" --quality fine --accelerator cuda --devices "${DEVICES:-1}" \
    --network-set width=48 --network-set depth=5 --network-set induced=16 --set patch=256 --set templates_least=8 \
    --set templates_most=50 --set tv_weight=5 --set iterations="${MOSAIC_ITERATIONS:-20000}"
else
  echo "no MOSAIC_TEMPLATES and MOSAIC_CONTENTS were given: no mosaic is trained"
fi
# 1. Tests that need a device: agreement with the CPU, resume, memory.
step tests "$python" -m pytest -q -m gpu tests/models tests/daemon
# 2. The training step beside the plain one, at three sizes.
step single_image_step "$python" benchmarks/single_image.py --device cuda --json
# 3. Time to a finished harmonization model and to a fine-tune, in every quality, with pictures.
step harmonize_whole "$python" benchmarks/harmonize_whole.py --device cuda --out "$out/harmonize"
#    And of generation models of six pictures: variations, seconds and memory beside the figures of the paper;
#    with --peer FOLDER also beside samples of the public code.
step single_image_quality "$python" benchmarks/single_image_quality.py --device cuda --quality normal \
  --out "$out/single_image" --montage "$out/single_image.png"
#    Memory at 250 and at 1000 px (the aims: 1.5 and 8 GiB).
for side in 250 1000; do
  step "single_image_memory_$side" "$python" benchmarks/single_image_quality.py --device cuda --quality normal \
    --side "$side" --set "max_size=$side" --set iterations=20 --samples 2
done
# 4. Poisson blending with tensors on the device.
step poisson "$python" benchmarks/poisson.py --device cuda --json
# 5. One composite (goal 10 ms at 256 px), adapting in 30 steps (goal 1.5 s), and optimisation instead.
step composite "$python" benchmarks/composite.py --device cuda --rounds 100 --refine-steps 100 --json
step composite_half "$python" benchmarks/composite.py --device cuda --half --rounds 100 --refine-steps 100 --json
# 6. Key patches: all ablations, wider and as long as the paper in pictures shown, for a labelled set with splits.
if [ -n "${PARTS_PICTURES:-}" ]; then
  mkdir -p "$out/patches"
  step patches "$python" tools/evaluate.py --part patches --pictures "$PARTS_PICTURES" --out "$out/patches" --kept "$out/patches/kept" \
    --patch-classes "${PARTS_CLASSES:-t-shirt, longsleeve, shirt}" --patch-variants all --patch-width 64 --patch-batch 64 \
    --patch-iterations "${PARTS_ITERATIONS:-40000}" --patch-size "${PARTS_SIZE:-64}" --device-name "$(head -n 1 "$out/device.txt")"
else
  echo "PARTS_PICTURES names no labelled pictures: key patches are not measured"
fi
# 6. Attention over templates beside the plain formulation (goal 3x at K = 50), and mosaics up to 20 megapixels with 50 templates
#    (goal: 60 s, below 8 GiB): the paper's sizes, tiles for 6 GiB.
step mosaic "$python" benchmarks/mosaic.py --device cuda --quality fine --memory-mb 6000 --precision bfloat16 --json
#    Five models of the paper's size and what they do: the section "Mosaics" of results.md. MOSAIC_UNSEEN: contents to keep out.
if [ -n "${MOSAIC_SET:-}" ] && [ -n "${MOSAIC_CONTENTS:-}" ]; then
  step evaluate_mosaic "$python" tools/evaluate.py --part mosaic --templates "$MOSAIC_SET" --contents "$MOSAIC_CONTENTS" \
    --unseen "${MOSAIC_UNSEEN:-}" --mosaic-scale large --kept "$out/mosaic_models" --out "$out/mosaic_docs"
fi
exit $failed
