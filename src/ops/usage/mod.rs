//! What was downloaded from each store: counted month by month, and told at each terabyte.
