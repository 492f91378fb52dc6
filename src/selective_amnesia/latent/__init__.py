"""What the codes and conditions say: paths through them, where images lie, how far a path leads."""
