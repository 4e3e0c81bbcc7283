//! Affine group quantisation in the MLX layout: packing and unpacking.
