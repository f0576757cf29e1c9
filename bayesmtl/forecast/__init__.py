"""What a posterior says of new rows, new levels of groups and new tasks."""
