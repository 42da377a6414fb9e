//! The `epochgate` command.

fn main() -> std::process::ExitCode {
    compiler::cli::main()
}
