"""What the listening sides of all protocols share."""
