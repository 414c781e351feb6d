"""The sides of `peers.py`, each as its user would write it."""
