"""Studies: rows of a table trained and evaluated alike, and what their results show."""
