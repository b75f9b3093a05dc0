"""Conformers of given molecules: positions out of noise where atoms, bonds and stereo are known."""
