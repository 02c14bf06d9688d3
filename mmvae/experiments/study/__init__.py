"""Studies: rows of a table, trained and evaluated alike, and the claims on their results."""
