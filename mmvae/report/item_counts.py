"""How many items pictures show unless told otherwise."""

MAPPED_ITEMS = 2000
SHOWN_ITEMS = 10
