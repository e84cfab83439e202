"""Reading a study, finished or not: results, status, answers, and what the report shows."""
