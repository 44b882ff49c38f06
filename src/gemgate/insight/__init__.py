"""Numbers in, numbers out: how the record is summed, and what the sums say. Pure."""
