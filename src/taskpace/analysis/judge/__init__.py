"""What a judge made of a run's answers."""
