"""A real Label Studio and simulated annotators, for `nextlabel demo` and the end-to-end tests."""
