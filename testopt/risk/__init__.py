"""How risky a change is, where and why, and which files are likely to need fixes."""
