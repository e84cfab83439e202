"""Networks as spaces of their own: brought in from outside and looked at, filled and morphed."""
