"""Long runs behind the book's tables: one script each, which writes results/NAME.json."""
