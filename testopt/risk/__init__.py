"""How risky a change is, where, and why; and which areas are."""
