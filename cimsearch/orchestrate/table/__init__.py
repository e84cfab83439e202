"""Building a table: every candidate of a small space, evaluated at every rung."""
