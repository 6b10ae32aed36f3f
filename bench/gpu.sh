#!/bin/sh
# Everything that a GPU can show, offline, with local weights: `sh bench/gpu.sh [--quick] [FOLDER]`.
#
# The design of the paper with the two packaged models at 660 questions, batches of 1 to 128, float16, bfloat16, 8-bit and
# 4-bit; then the harness's own overhead. Leaves run files, reports and Markdown tables in FOLDER (runs/gpu). The questions
# are the starter set, or those of the Parquet file that TASKPACE_DATA names (columns of cais/mmlu). On a machine without
# a GPU it runs all the same, slowly. The systems take turns, batch by batch; TASKPACE_ORDER=blocks has one of them open at
# a time, where the GPU's memory does not suffice for all. TASKPACE_ITEMS=12 and TASKPACE_BATCHES="[1, 4]" make it shorter;
# --quick takes a tiny random model, one precision, one task, two items and a few tokens, to see that the script works.
set -eu
quick=
if [ "${1:-}" = --quick ]; then
    quick=--quick
    shift
fi
folder=${1:-runs/gpu}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
data=${TASKPACE_DATA:-}
if [ "$quick" ]; then
    items=2 batches="[2]" tokens=4 models=$("$python" bench/tiny_model.py "$folder/tiny")
else
    items=${TASKPACE_ITEMS:-660} batches=${TASKPACE_BATCHES:-"[1, 2, 4, 8, 16, 32, 64, 128]"} tokens=
    models="smollm2-135m gemma3-270m"
fi
export HF_HUB_OFFLINE=1

"$python" -c 'import torch; print("device:", torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'

task() {
    if [ "$data" ]; then
        printf '{ use = "%s", data = "%s", where = { subject = "miscellaneous" } }' "$1" "$(realpath "$data")"
    else
        printf '"%s"' "$1"
    fi
}

tasks() {
    if [ "$quick" ]; then
        task mmlu-letter
    else
        printf '%s, %s, %s' "$(task mmlu-letter)" "$(task mmlu-paraphrase)" "$(task mmlu-explain)"
    fi
}

system() { # name, model, options
    printf '[[system]]\nname = "%s"\nengine = "transformers"\nmodel = "%s"\noptions = { %s }\n\n' "$1" "$2" "$3"
}

{
    printf 'name = "gpu"\nitems = %s\ntimeout = 1800\nenergy = true\nscenarios = [{ batch = %s }]\n' "$items" "$batches"
    printf 'order = "%s"\n' "${TASKPACE_ORDER:-turns}"
    [ -z "$tokens" ] || printf 'max_tokens = %s\n' "$tokens"
    printf 'tasks = [%s]\n\n' "$(tasks)"
    # Quantised weights compute in bfloat16: in float16 Gemma 3 overflows and writes nothing, which its float16 row shows.
    for model in $models; do
        [ "$quick" ] || system "$model float16" "$model" 'dtype = "float16"'
        system "$(basename "$model") bfloat16" "$model" 'dtype = "bfloat16"'
        [ -z "$quick" ] || continue
        system "$model 8-bit" "$model" 'dtype = "bfloat16", quantization = "8bit"'
        system "$model 4-bit" "$model" 'dtype = "bfloat16", quantization = "4bit"'
    done
} > "$folder/gpu.toml"

"$python" -m taskpace run "$folder/gpu.toml" -o "$folder/gpu.db"
"$python" -m taskpace summary "$folder/gpu.db" --format markdown > "$folder/gpu.md"
"$python" -m taskpace report "$folder/gpu.db" -o "$folder/gpu.html" --force
"$python" bench/overhead_transformers.py ${quick:---rounds 5} --save "$folder"
echo "tables: $folder/gpu.md; report: $folder/gpu.html; overhead: $folder/overhead_transformers.json"
