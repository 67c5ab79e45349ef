"""Comparisons run, kept, served and asked about: the command line, the API and what works behind them."""
