"""What the path and the text of a source file say: language, test or not, words, outline."""
