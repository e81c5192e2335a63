//! Claims about definitions.
