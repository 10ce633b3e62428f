"""The way of a metric, from a plugin's `acc.add` to a receiver:

    inputs/   a plugin's gather or start -> accumulator -> modifiers (names, tags, times)
    stages/   processors, aggregators, processors
    fanout    encoded once for all outputs that want the same bytes
    outputs/  encoder -> the output's queue (pyagent.buffer) -> sender -> a plugin's write; disk_writer beside it

Beneath them: `filters` and `modifiers` (what the common options of plugins say), `isolation` and `executors` (where a plugin's
code runs), `failures` (what the log says of it), `schedule`, `traits`, `ports` (what one room needs of another).
A room knows those beneath it and none above it: import-linter checks that.
"""
