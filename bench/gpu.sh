#!/bin/sh
# Everything that a GPU can show, offline, with local weights: `sh bench/gpu.sh [ITEMS] [FOLDER]`.
#
# The design of the paper with the two packaged models at 660 questions, batches of 1 to 128, float16, bfloat16, 8-bit and
# 4-bit; then the harness's own overhead. Leaves run files, reports and Markdown tables in FOLDER. The questions are those
# of ../shared/data/mmlu if that is there, else the starter set. On a machine without a GPU it runs all the same, slowly:
# try `sh bench/gpu.sh 12`. TASKPACE_BATCHES="[1, 4]" makes it shorter.
set -eu
cd "$(dirname "$0")/.."
items=${1:-660}
folder=${2:-runs/gpu}
batches=${TASKPACE_BATCHES:-"[1, 2, 4, 8, 16, 32, 64, 128]"}
python=${PYTHON:-.venv/bin/python}
data=../shared/data/mmlu/test.parquet
mkdir -p "$folder"
export HF_HUB_OFFLINE=1

"$python" -c 'import torch; print("device:", torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'

task() {
    if [ -f "$data" ]; then
        printf '{ use = "%s", data = "%s", where = { subject = "miscellaneous" } }' "$1" "$(realpath "$data")"
    else
        printf '"%s"' "$1"
    fi
}

system() { # name, model, options
    printf '[[system]]\nname = "%s"\nengine = "transformers"\nmodel = "%s"\noptions = { %s }\n\n' "$1" "$2" "$3"
}

{
    printf 'name = "gpu"\nitems = %s\ntimeout = 1800\nenergy = true\nscenarios = [{ batch = %s }]\n' "$items" "$batches"
    printf 'tasks = [%s, %s, %s]\n\n' "$(task mmlu-letter)" "$(task mmlu-paraphrase)" "$(task mmlu-explain)"
    # Quantised weights compute in bfloat16: in float16 Gemma 3 overflows and writes nothing, which its float16 row shows.
    for model in smollm2-135m gemma3-270m; do
        system "$model float16" "$model" 'dtype = "float16"'
        system "$model bfloat16" "$model" 'dtype = "bfloat16"'
        system "$model 8-bit" "$model" 'dtype = "bfloat16", quantization = "8bit"'
        system "$model 4-bit" "$model" 'dtype = "bfloat16", quantization = "4bit"'
    done
} > "$folder/gpu.toml"

"$python" -m taskpace run "$folder/gpu.toml" -o "$folder/gpu.db"
"$python" -m taskpace summary "$folder/gpu.db" --format markdown > "$folder/gpu.md"
"$python" -m taskpace report "$folder/gpu.db" -o "$folder/gpu.html" --force
"$python" bench/overhead_transformers.py 5 | tee "$folder/overhead.txt"
echo "tables: $folder/gpu.md; report: $folder/gpu.html"
