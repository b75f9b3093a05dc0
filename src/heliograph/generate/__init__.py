"""Generation: data out of noise, on the graphs and layers that exist."""
