"""Rules: each makes a set of edges of its arguments."""
