"""Measuring pictures: what a painting should not show."""
