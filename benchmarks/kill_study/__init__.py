"""Whole runs that are killed, and what the next run makes of it; see ``kill_resume.py``."""
