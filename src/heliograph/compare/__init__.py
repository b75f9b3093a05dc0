"""Which architecture for these molecules, how sure, at what cost."""
