"""The experiment: its file, the plan that it comes to, and what ships."""
