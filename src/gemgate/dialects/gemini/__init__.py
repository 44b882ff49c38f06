"""Google's own dialect: paths, requests, answers, faults. Bytes in, values of ``core`` out, and back."""
