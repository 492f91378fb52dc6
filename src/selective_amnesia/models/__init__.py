"""The networks that are trained, and what is the same for all of them."""
