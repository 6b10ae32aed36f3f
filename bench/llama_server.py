"""llama.cpp's own HTTP server, as the wheel of xllamacpp has it: what ``llama-server`` is where that is installed.

Run: python bench/llama_server.py MODEL PORT [SLOTS]. Serves until it is told to stop.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp

from harness import threads


def main() -> None:
    model, port, *rest = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.n_parallel = int(rest[0]) if rest else 1
    params.n_ctx = 1024 * params.n_parallel
    params.kv_unified = False
    params.fit_params = False
    params.use_jinja = True
    params.ui = False
    # As in process: two cores compute, and nothing is kept from one prompt to the next.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads()
    params.cache_ram_mib, params.n_ctx_checkpoints, params.slot_prompt_similarity = 0, 0, 0.0
    params.cache_idle_slots = False
    server = xllamacpp.Server(params)
    print(f"listening at {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
