#!/bin/sh
# Everything that a GPU can show, offline, with local weights: `sh bench/gpu.sh [--quick] [FOLDER]`.
#
# The design of the paper with the two packaged models at 660 questions, batches of 1 to 128, float16, bfloat16, 8-bit and
# 4-bit; then the harness's own overhead. Leaves run files, reports and Markdown tables in FOLDER (runs/gpu). The questions
# are the starter set, or those of the Parquet file that TASKPACE_DATA names (columns of cais/mmlu). On a machine without
# a GPU it runs all the same, slowly. The systems take turns, batch by batch; TASKPACE_ORDER=blocks has one of them open at
# a time, where the GPU's memory does not suffice for all. Shorter: TASKPACE_ITEMS=12, TASKPACE_BATCHES="[1, 4]",
# TASKPACE_TASKS="mmlu-letter", TASKPACE_PRECISIONS="bfloat16 4-bit", TASKPACE_TOKENS=96 (most of an answer),
# TASKPACE_ROUNDS=3 (of the overhead). What is cut off goes on with the same command. Without the extra `charts` there
# is no report, which can be made of gpu.db elsewhere. --quick takes a tiny random model, one precision, one task, two
# items and a few tokens, to see that it works, and leaves out the overhead, whose quick form is run apart.
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
    tasks=mmlu-letter precisions=bfloat16
else
    items=${TASKPACE_ITEMS:-660} batches=${TASKPACE_BATCHES:-"[1, 2, 4, 8, 16, 32, 64, 128]"} tokens=${TASKPACE_TOKENS:-}
    models=${TASKPACE_MODELS:-"smollm2-135m gemma3-270m"}
    tasks=${TASKPACE_TASKS:-"mmlu-letter mmlu-paraphrase mmlu-explain"}
    precisions=${TASKPACE_PRECISIONS:-"float16 bfloat16 8-bit 4-bit"}
fi
export HF_HUB_OFFLINE=1

if [ -z "$quick" ]; then # importing torch is most of what a quick form takes: once for all of it
    "$python" -c 'import torch; print("device:", torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'
fi

task() {
    if [ "$data" ]; then
        printf '{ use = "%s", data = "%s", where = { subject = "miscellaneous" } }' "$1" "$(realpath "$data")"
    else
        printf '"%s"' "$1"
    fi
}

tasks() {
    separator=
    for name in $tasks; do
        printf '%s' "$separator"
        task "$name"
        separator=', '
    done
}

options() { # Quantised weights compute in bfloat16: in float16 Gemma 3 overflows and writes nothing, which its row shows.
    case $1 in
    float16 | bfloat16) printf 'dtype = "%s"' "$1" ;;
    8-bit | 4-bit) printf 'dtype = "bfloat16", quantization = "%sbit"' "${1%-bit}" ;;
    *) echo "TASKPACE_PRECISIONS: there is no $1: take some of float16, bfloat16, 8-bit and 4-bit" >&2 && exit 2 ;;
    esac
}

for precision in $precisions; do options "$precision" > /dev/null; done

system() { # name, model, options
    printf '[[system]]\nname = "%s"\nengine = "transformers"\nmodel = "%s"\noptions = { %s }\n\n' "$1" "$2" "$3"
}

{
    printf 'name = "gpu"\nitems = %s\ntimeout = 1800\nenergy = true\nscenarios = [{ batch = %s }]\n' "$items" "$batches"
    printf 'order = "%s"\n' "${TASKPACE_ORDER:-turns}"
    [ -z "$tokens" ] || printf 'max_tokens = %s\n' "$tokens"
    printf 'tasks = [%s]\n\n' "$(tasks)"
    for model in $models; do
        for precision in $precisions; do
            system "$(basename "$model") $precision" "$model" "$(options "$precision")"
        done
    done
} > "$folder/gpu.toml"

"$python" -m taskpace run "$folder/gpu.toml" -o "$folder/gpu.db"
"$python" -m taskpace summary "$folder/gpu.db" --format markdown > "$folder/gpu.md"
echo "tables: $folder/gpu.md"
if "$python" -c 'import altair, vl_convert' 2> /dev/null; then
    "$python" -m taskpace report "$folder/gpu.db" -o "$folder/gpu.html" --force
    echo "report: $folder/gpu.html"
else
    echo "no report without the extra charts: where there is one, run taskpace report gpu.db"
fi
[ "$quick" ] || "$python" bench/overhead_transformers.py --rounds "${TASKPACE_ROUNDS:-5}" --save "$folder"
