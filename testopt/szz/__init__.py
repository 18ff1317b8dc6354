"""Which commits introduced the defects that others fixed (SZZ)."""
