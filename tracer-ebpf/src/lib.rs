//! Empty: lets other crates name this one as a dependency.
#![no_std]
