"""The lab: every stage by name, and what it needs."""
