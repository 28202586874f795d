//! Does nothing; build dependencies need a build script, and ours pin what builds Kùzu.

fn main() {}
