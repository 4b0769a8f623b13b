"""Long runs behind the book's tables: what they measure lies in ffutils/stored_results.

To read in this order: `experiment` (what one is), `trials` (what each trains, and the
experiments themselves), `runner` and `checkpoint` (how a run goes on after it was cut
off), `catalogue`, `tables`. Run from the repository's root: python -m experiments
"""
