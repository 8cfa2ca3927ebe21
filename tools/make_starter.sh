#!/bin/sh
# Makes resources/models/thigh-starter.safetensors from nothing, or a sister model for a test.
#
#     tools/make_starter.sh THIGH ANATOMY WORK [PATIENT]
#
# THIGH: the nnU-Net folder with Thigh_001 and Thigh_002 (0000 fat, 0001 water); ANATOMY: the folder of
# label maps; WORK: a folder, a new one or that of a run which was stopped: what is done stays. See NOTICE
# for the sources. With a PATIENT (Thigh_001) his images take no part, and the model is tested on him; without
# one the model is shipped. Maps that are likely of a labelled patient are left out in either case, so the
# synthetic images and the shapes learned from them are made once in a WORK for the starter and all its sisters.
#
# Numbers of images and steps are read from the environment, so that the whole can be tried in a minute:
#     IMAGES=4 STEPS=2 MIXED_STEPS=2 MORE="--width 4 --depth 1" tools/make_starter.sh …
set -eu
thigh=$1
anatomy=$2
work=$3
patient=${4:-}
images=${IMAGES:-200}
steps=${STEPS:-3600}
mixed_steps=${MIXED_STEPS:-400}
seed=${SEED:-0}
more=${MORE:-}
table=thigh-eleven
# The same person labelled twice reaches 0.87, at another visit perhaps 0.66: docs/synthesis.md.
twin_dice=0.6
here=$(cd "$(dirname "$0")/.." && pwd)
muscle="${PYTHON:-python} -m napari_ssl_muscle"
starter=$work/starter${patient:+-without-$patient}-$seed
mkdir -p "$work"

# train RUN COHORT OPTIONS…: a training, unless it is done; a stopped one goes on.
train() {
    run=$1
    cohort=$2
    shift 2
    [ -f "$run.done" ] && return
    [ -f "$run/checkpoint.safetensors" ] && set -- "$@" --resume
    # shellcheck disable=SC2086
    $muscle finetune "$cohort" --out "$run" --preset recommended --muscles all --split none \
        --threads "${THREADS:-2}" $more "$@"
    touch "$run.done"
}

# 1. Images of every contrast.
set --
for labels in "$thigh"/labelsTr/*.nii.gz; do
    set -- "$@" --exclude-twins-of "$labels"
done
$muscle synthesise "$anatomy" --table $table --out "$work/synthetic" --images "$images" --twin-dice $twin_dice "$@"

# 2. Shapes, from synthetic images alone.
train "$work/shapes" "$work/synthetic" --steps "$steps" --warmup 0.1

# 3. The water and the fat image of every patient who takes part, as cases of one channel among
#    synthetic images of every map: each real image four times, as there are few of them.
mixed=$starter-images
mkdir -p "$mixed/imagesTr" "$mixed/labelsTr"
cp "$work/synthetic/dataset.json" "$mixed/"
for image in $(ls "$work/synthetic/imagesTr" | sort -t- -k2 | head -n $((images / 4 + 1))); do
    ln -sf "$(cd "$work" && pwd)/synthetic/imagesTr/$image" "$mixed/imagesTr/"
    ln -sf "$(cd "$work" && pwd)/synthetic/labelsTr/${image%_0000.nii.gz}.nii.gz" "$mixed/labelsTr/"
done
for labels in "$thigh"/labelsTr/*.nii.gz; do
    name=$(basename "$labels" .nii.gz)
    [ "$name" != "$patient" ] || continue
    for copy in 1 2 3 4; do
        for channel in 0000 0001; do
            case=${name}_ses-$copy$channel
            cp "$thigh/imagesTr/${name}_$channel.nii.gz" "$mixed/imagesTr/${case}_0000.nii.gz"
            cp "$labels" "$mixed/labelsTr/$case.nii.gz"
        done
    done
done

# 4. Fine-tuning on both.
train "$starter" "$mixed" --init "$work/shapes" --steps "$mixed_steps" --lr 0.002 --seed "$seed"

if [ -n "$patient" ]; then
    # 5. The test: water and fat image of the patient who took no part, six muscles and all eleven.
    for channel in 0001 0000; do
        $muscle segment "$thigh/imagesTr/${patient}_$channel.nii.gz" --model "$starter" \
            --out "$starter-labels-$channel" --overwrite
        $muscle evaluate "$starter-labels-$channel/${patient}_${channel}_dseg.nii.gz" \
            "$thigh/labelsTr/$patient.nii.gz" --table $table \
            --out "$starter-figures-$channel" --overwrite
    done
else
    # 5. The model that comes with the program.
    "${PYTHON:-python}" "$here/tools/ship_model.py" "$starter" thigh-starter \
        --out "${SHIP_TO:-$here/resources/models}" \
        --title "Eleven muscles of both thighs, in water, fat, in- and opposed-phase and T1 images" \
        --sources "$here/tools/starter_sources.json" --cohort "Huashan" --no-dice
fi
