"""Between inputs and outputs: processors and aggregators, the engine's own and external ones."""
