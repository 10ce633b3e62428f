"""The segment log: what is on disk, written in groups and read in order."""
