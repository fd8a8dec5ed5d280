//! The `gostuck` command.

fn main() -> std::process::ExitCode {
    tracer_user::cli::main()
}
