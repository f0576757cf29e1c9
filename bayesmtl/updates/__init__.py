"""Posteriors that learn from new rows without a new fit."""
