"""What the graph implies, held against the table before any fit."""
