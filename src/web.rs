//! L5: the HTTP door: health, metrics, console.
