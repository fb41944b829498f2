"""What layers are that change no shape."""

import keras


class SameShape(keras.layers.Layer):
    """A layer whose output has the shape of its input."""

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape
