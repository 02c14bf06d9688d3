"""The command line: one small command per file, each a thin call into the Python interface."""
