"""What runs by itself beside the calls, in the console's process."""
