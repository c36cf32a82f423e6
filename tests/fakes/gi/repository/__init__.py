"""The libraries a GIMP plug-in imports. Gimp and Gegl behave; the others only exist."""
