"""Where weights lie: folders of safetensors, GGUF files and what they become, the embedded model."""
