"""Which architecture for these molecules, how sure, at what cost, and what the data alone say before any training."""
