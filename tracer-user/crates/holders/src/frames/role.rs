//! What the function of a frame means for what the goroutine will do.

/// What a frame is to the analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the wait itself: what it leads to is known from what is waited on.
    Wait,
    /// Runs on.
    Code,
    /// `runtime.deferreturn`: runs the rest of its caller's deferred calls.
    RunsDeferred,
    /// `runtime.gopanic`, `runtime.Goexit`: runs the deferred calls of all frames outside it.
    Unwinds,
    /// Returns to its caller without doing anything to locks.
    Passes,
    /// Nothing runs after it.
    End,
}

/// What a frame of the function `name` is. `innermost`: all frames inside it are part of the wait.
pub fn role(name: &str, innermost: bool) -> Role {
    if innermost && is_wait(name) {
        return Role::Wait;
    }
    match name.strip_prefix("runtime.") {
        Some("deferreturn") => Role::RunsDeferred,
        Some("gopanic" | "Goexit") => Role::Unwinds,
        Some(
            "goexit" | "main" | "mstart" | "mcall" | "systemstack" | "runfinq" | "runFinalizers"
            | "runCleanups" | "corostart",
        ) => Role::End,
        Some(_) => Role::Passes,
        None => Role::Code,
    }
}

/// Whether the function `name` waits on behalf of the first frame that does not.
fn is_wait(name: &str) -> bool {
    if let Some(function) = name.strip_prefix("runtime.") {
        return !matches!(
            function,
            "gopanic" | "Goexit" | "goexit" | "main" | "deferreturn"
        );
    }
    let sync = name.strip_prefix("internal/").unwrap_or(name);
    matches!(
        sync,
        "sync.(*Mutex).Lock"
            | "sync.(*Mutex).lockSlow"
            | "sync.(*RWMutex).Lock"
            | "sync.(*RWMutex).RLock"
            | "sync.(*WaitGroup).Wait"
            | "time.Sleep"
    ) || sync.starts_with("sync.runtime_")
        || name.starts_with("internal/poll.runtime_")
        || name.starts_with("internal/runtime/")
}
