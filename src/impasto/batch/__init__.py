"""Many photos in one go: what is finished is written down, and never done again."""
