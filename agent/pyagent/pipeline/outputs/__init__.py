"""From metrics to a receiver: encode, queue, keep on disk, send."""
