"""The default numbers of items that pictures show."""

MAPPED_ITEMS = 2000
SHOWN_ITEMS = 10
