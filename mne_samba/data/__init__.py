"""What enters: recordings, BOLD and their alignment, read into standard segments."""
