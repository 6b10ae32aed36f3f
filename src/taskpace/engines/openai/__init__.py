"""Engine ``openai``: any OpenAI-compatible HTTP endpoint."""
