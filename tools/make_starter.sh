#!/bin/sh
# How resources/models/thigh-starter.safetensors was made, step by step.
#
#     tools/make_starter.sh THIGH ANATOMY WORK [PATIENTS [SEED]]
#
# THIGH: the nnU-Net folder with Thigh_001 and Thigh_002 (channel 0001 is the water image) and
# muscles.label; ANATOMY: the folder of label maps; WORK: a new folder. See NOTICE for the sources.
# The sister models come from the same steps with one patient instead of both; SEED is that of the
# last step.
set -eu
thigh=$(cd "$1" && pwd)
anatomy=$2
work=$3
patients=${4:-"Thigh_001 Thigh_002"}
seed=${5:-0}
mkdir -p "$work"
work=$(cd "$work" && pwd)
muscle="python -m napari_ssl_muscle"

for copies in 3 6; do
    python tools/synthesise.py "$anatomy" "$work/synthetic$copies" --copies $copies
    cp "$thigh/muscles.label" "$work/synthetic$copies/"
done

# Shapes first, from synthetic images alone.
$muscle finetune "$work/synthetic3" --out "$work/shapes" --preset recommended \
    --steps 1500 --split none --threads 1
$muscle finetune "$work/synthetic6" --out "$work/more-shapes" --preset recommended \
    --init "$work/shapes" --steps 1300 --lr 0.004 --split none --threads 1

# Then real images, each six times, among one synthetic scan of every anatomy.
joint=$work/joint
mkdir -p "$joint/imagesTr" "$joint/labelsTr"
cp "$thigh/muscles.label" "$joint/"
for image in "$work"/synthetic6/imagesTr/*_0_0001.nii.gz; do
    name=$(basename "$image" _0001.nii.gz)
    cp "$image" "$joint/imagesTr/"
    cp "$work/synthetic6/labelsTr/$name.nii.gz" "$joint/labelsTr/"
done
for patient in $patients; do
    for copy in 1 2 3 4 5 6; do
        cp "$thigh/imagesTr/${patient}_0001.nii.gz" "$joint/imagesTr/${patient}x${copy}_0001.nii.gz"
        cp "$thigh/labelsTr/$patient.nii.gz" "$joint/labelsTr/${patient}x$copy.nii.gz"
    done
done
steps=500
[ "$(echo "$patients" | wc -w)" -gt 1 ] || steps=400
$muscle finetune "$joint" --out "$work/starter" --preset recommended \
    --init "$work/more-shapes" --steps $steps --lr 0.002 --seed "$seed" --split none --threads 1
