"""What people look at: a plan in words."""
