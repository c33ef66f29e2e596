#!/bin/sh
# Makes the figures and tables of docs/analyses.md, and the study of the fit in docs/radapt.md.
# Run it at the root of the repository, whole or in parts; it writes into docs/analyses/.
#
#   sh docs/analyses/commands.sh towers   # analyses of the towers without attacks: under a minute on a CPU
#   sh docs/analyses/commands.sh sweeps   # four suites of attacks, and their figures
#   sh docs/analyses/commands.sh fit      # eleven anchors and their suite
#
# PYTHON is the interpreter. RAW is the folder of CIFAR-100; missing data is downloaded (see bench/nano/README.md).
set -eu

PYTHON=${PYTHON:-python}
RAW=${RAW:-raw}
NANO=python:bench.nano.nano_clip:load_pair
OUT=docs/analyses

towers() {
    $PYTHON -m radapt analyze spectrum --model CLIP=$NANO:clip \
        --against FARE=$NANO:fare TeCoA=$NANO:tecoa TGA=$NANO:tga --out $OUT/spectrum
    $PYTHON -m radapt analyze attention --model CLIP=$NANO:clip \
        --against FARE=$NANO:fare TeCoA=$NANO:tecoa TGA=$NANO:tga \
        --data bench/nano/data/cifar10 --split test --images 128 --out $OUT/attention
    $PYTHON -m radapt analyze cka --model CLIP=$NANO:clip \
        --against FARE=$NANO:fare TeCoA=$NANO:tecoa TGA=$NANO:tga \
        --data bench/nano/data/cifar10 --split test --images 500 \
        --published results/published/cka.csv --out $OUT/cka
}

sweeps() {
    $PYTHON run_bench.py suites/replacement.yaml
    $PYTHON -m radapt analyze curves results/replacement/cells.csv --over modules --eps 2/255 \
        --references CLIP FARE TeCoA --published results/published/replacement.csv \
        --out $OUT/replacement
    $PYTHON run_bench.py suites/alpha.yaml
    $PYTHON -m radapt analyze curves results/alpha/cells.csv --over alpha --references CLIP FARE \
        --published results/published/alpha.csv --out $OUT/alpha
    $PYTHON run_bench.py suites/cutoff.yaml
    $PYTHON -m radapt analyze curves results/cutoff/cells.csv --over cutoff --references CLIP FARE \
        --published results/published/cutoff.csv --out $OUT/cutoff
    $PYTHON run_bench.py suites/ablation.yaml
    numbers results/ablation/cells.csv $OUT/ablation-cells.csv
    $PYTHON -m radapt analyze ablation results/ablation/cells.csv \
        --published results/published/radapt.csv --out $OUT/ablation
}

fit() {
    # 2,000 CIFAR-100 train images, balanced over classes: those of the embedded R-Adapt+
    $PYTHON -c 'import sys
from pathlib import Path
from bench.nano.recipe.pack import pack
from bench.nano.recipe.rawdata import load_raw
raw = load_raw("cifar100", "train", Path(sys.argv[1]))
pack("cifar100", raw, Path(sys.argv[2]), "train", 2000)' "$RAW" results/few
    anchor cosine --loss cosine
    anchor ce --loss ce
    anchor ce-attack --attack-loss ce
    anchor refresh --refresh
    anchor eps2 --eps 2/255
    anchor eps8 --eps 8/255
    anchor images500 --images 500 --epochs 40
    anchor held-out --held-out 0.2 --patience 3 --epochs 30
    anchor epochs30 --epochs 30
    anchor sgd --optimiser sgd --lr 0.1
    anchor alpha1 --alpha 1.0
    $PYTHON run_bench.py suites/fit.yaml
    numbers results/fit/cells.csv $OUT/fit.csv
}

anchor() { # NAME OPTIONS: fit one anchor as suites/fit.yaml calls it
    name=$1
    shift
    $PYTHON -m radapt fit --model $NANO:clip --data results/few/cifar100 "$@" \
        --out "results/anchors/$name.safetensors"
}

numbers() { # FROM TO: a suite's table without what differs from run to run
    $PYTHON -c 'import sys
import pandas as pd
cells = pd.read_csv(sys.argv[1], dtype=str, keep_default_na=False)
names = "suite task seconds queries reason flags cell_id craft_id".split()
cells.drop(columns=names).to_csv(sys.argv[2], index=False)' "$1" "$2"
}

for part in "${@:-help}"; do
    case $part in
        towers | sweeps | fit) $part ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
done
