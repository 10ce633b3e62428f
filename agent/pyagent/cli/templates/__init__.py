"""What `pyagent new` writes: plugins that work as they are, each beside the case of it that is in `pyagent.cli.new_cases`."""
