"""What a run shows to people: one self-contained HTML page, and a summary for the terminal."""
