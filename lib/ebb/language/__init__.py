"""What items' texts say: vectors of them, made once a text, and read as of any night."""
