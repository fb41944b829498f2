"""Edge sets: how they are held, built, loaded and drawn."""
