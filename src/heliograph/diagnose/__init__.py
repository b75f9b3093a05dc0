"""Diagnosis: what a graph, a set of graphs and a trained network suffer from, in measures and in sentences."""
