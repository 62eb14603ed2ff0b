"""Records to text: pure functions of what is to be shown and of how the stream can show it."""
