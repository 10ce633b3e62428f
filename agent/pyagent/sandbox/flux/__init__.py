"""The part of Flux that the embedded server understands: grammar, syntax tree, closures, and the functions."""
