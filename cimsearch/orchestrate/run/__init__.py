"""Running a study: its plan, its loop, who holds it, and how it ends."""
