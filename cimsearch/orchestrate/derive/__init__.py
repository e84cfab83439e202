"""Studies made of studies: repriced, rescored, exported and imported."""
