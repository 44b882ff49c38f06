"""The console: administration and reading over HTTP, in a process of its own."""
