"""What tasks would be if some nodes of the graph were set."""
