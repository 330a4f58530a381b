"""The checks themselves: one module for each language that a block can have."""
