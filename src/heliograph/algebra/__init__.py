"""The edge algebra: tensors of edges, and of nodes, that are not computed until something needs them."""
