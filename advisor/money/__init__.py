"""Prices, costs, break-even volumes and the catalogue of models."""
