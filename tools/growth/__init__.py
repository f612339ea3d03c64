"""``make growth``: measure whether PoundCake stays fast while its history grows."""
