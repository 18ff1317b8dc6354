"""What a source file is and says: its language, whether it is a test, its words and outline."""
