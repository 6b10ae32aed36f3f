"""Renders finished views: no statistics here, only how they look."""
