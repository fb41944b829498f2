"""The syntax tree to the model; every semantic error is found here."""
