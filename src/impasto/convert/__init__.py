"""Published checkpoints that we accept, one file for each kind."""
