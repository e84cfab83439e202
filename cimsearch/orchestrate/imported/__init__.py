"""Networks from outside: brought in as a space, and looked at before any search."""
