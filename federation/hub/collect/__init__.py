"""What the members report to the template's own status."""
