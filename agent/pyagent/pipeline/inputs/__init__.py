"""From a plugin's `gather` or `start` to the metrics that go on."""
