"""Engine ``llamacpp``: GGUF models in this process."""
