//! What cargo has to know about files that are compiled in.

fn main() {
    // The migrations are compiled in; cargo does not know that of itself.
    println!("cargo:rerun-if-changed=migrations");
}
