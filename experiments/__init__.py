"""Long runs behind the book's tables: each script writes results/NAME.json."""
