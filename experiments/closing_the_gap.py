"""Chapter 06's recipe without jitter: three layers that know nothing of the plane in which the pixels lie."""


TITLE = "Supervised, chapter 06's recipe, permutation-invariant"
PAPER = {"section": "3.3", "test error": 1.36}
