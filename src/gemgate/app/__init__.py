"""Composition root: takes the data folder, starts the processes, keeps them running, stops them in order."""
