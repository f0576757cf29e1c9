"""Causal graphs, and what they say of effects: all without a table."""
