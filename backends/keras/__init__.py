"""The Keras target."""
