"""Which architecture for these molecules: statistics that hold, and what the data alone say before any training."""
