//! Coordinates and addresses lose their precision.
