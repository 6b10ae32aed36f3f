"""Engine ``transformers``: causal language models in this process."""
