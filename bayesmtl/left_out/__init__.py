"""What posteriors say of cells that they are not shown, and what tasks gain by each other."""
