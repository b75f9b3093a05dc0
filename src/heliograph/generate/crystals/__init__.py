"""Crystals out of noise: cells, fractional coordinates and elements, given a formula or not."""
