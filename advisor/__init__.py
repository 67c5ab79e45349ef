"""The core: data, prompts, pipelines, scores, statistics, cost, recommendation, report. No model library, no web."""
