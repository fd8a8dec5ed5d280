//! Ways to have a lock given back, or `Done` called, that are easy and hard to follow.

use super::Writer;

/// How an outsider gives a token back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `mu.Unlock()` itself.
    Plain,
    /// `go mu.Unlock()`.
    Go,
    /// A goroutine whose deferred call runs in `runtime.Goexit`.
    Goexit,
    /// A function from a `sync.Map`.
    SyncMap,
    /// Functions of a slice.
    Hooks,
    /// Functions of a map that is ranged over.
    RangedMap,
    /// A function received from a channel.
    Channel,
    /// `reflect`, by the method's name.
    Reflect,
    /// `time.AfterFunc`.
    Timer,
    /// A timer that is Reset.
    Reset,
    /// A finalizer.
    Finalizer,
    /// `fmt`, which calls a String method.
    Fmt,
    /// `encoding/json`, which calls MarshalJSON.
    Json,
    /// `sort`, which calls Less.
    Sort,
    /// A value of a context.
    Context,
    /// `context.AfterFunc` (Go 1.21).
    AfterFunc,
    /// `sync.Pool`'s New.
    Pool,
    /// `sync.OnceFunc` (Go 1.21).
    OnceFunc,
    /// An `atomic.Value`.
    Atomic,
    /// The goroutine that gives back for others.
    Reaper,
    /// `sync.Locker` in an interface value.
    Locker,
    /// A deferred call upon a panic.
    Panic,
}

const WAYS: [Way; 22] = [
    Way::Plain,
    Way::Go,
    Way::Goexit,
    Way::SyncMap,
    Way::Hooks,
    Way::RangedMap,
    Way::Channel,
    Way::Reflect,
    Way::Timer,
    Way::Reset,
    Way::Finalizer,
    Way::Fmt,
    Way::Json,
    Way::Sort,
    Way::Context,
    Way::AfterFunc,
    Way::Pool,
    Way::OnceFunc,
    Way::Atomic,
    Way::Reaper,
    Way::Locker,
    Way::Panic,
];

impl Writer {
    /// Chooses a way that this Go has.
    pub(super) fn way(&mut self) -> Way {
        loop {
            let way = self.random.of(&WAYS);
            let new = matches!(way, Way::AfterFunc | Way::OnceFunc);
            if !new || self.target.minor >= 21 {
                return way;
            }
        }
    }

    /// Has `give`, the method `method` of `pointer`, called.
    pub(super) fn by_way(
        &mut self,
        way: Way,
        give: &str,
        method: &str,
        pointer: &str,
        millis: usize,
    ) {
        match way {
            Way::Plain => self.line(&format!("{give}()")),
            Way::Go => self.line(&format!("go {give}()")),
            Way::Goexit => {
                self.open("go func() {");
                self.line(&format!("defer {give}()"));
                self.line("runtime.Goexit()");
                self.close("}()");
            }
            Way::SyncMap => {
                let key = self.name("f");
                self.line(&format!("kept.Store(\"{key}\", {give})"));
                self.line(&format!(
                    "if f, ok := kept.Load(\"{key}\"); ok {{ f.(func())() }}"
                ));
            }
            Way::Hooks => {
                let hooks = self.variable("hooks", "[]func()");
                self.line(&format!("{hooks} = append({hooks}[:0], use, {give})"));
                self.line(&format!("for _, f := range {hooks} {{ f() }}"));
            }
            Way::RangedMap => {
                let hooks = self.variable("hooks", "map[string]func()");
                self.line(&format!(
                    "{hooks} = map[string]func(){{\"a\": use, \"b\": {give}}}"
                ));
                self.line(&format!("for _, f := range {hooks} {{ f() }}"));
            }
            Way::Channel => {
                let hooks = self.name("hooks");
                self.variables
                    .push_str(&format!("var {hooks} = make(chan func(), 1)\n"));
                self.line(&format!("{hooks} <- {give}"));
                self.line(&format!("(<-{hooks})()"));
            }
            Way::Reflect => self.line(&format!(
                "reflect.ValueOf({pointer}).MethodByName(\"{method}\").Call(nil)"
            )),
            Way::Timer => self.line(&format!(
                "time.AfterFunc({millis}*time.Millisecond, {give})"
            )),
            Way::Reset => {
                let timer = self.name("timer");
                self.line(&format!("{timer} := time.AfterFunc(time.Hour, {give})"));
                self.line(&format!("{timer}.Reset({millis} * time.Millisecond)"));
            }
            Way::Finalizer => {
                self.open("func() {");
                self.line(&format!("give := {give}"));
                self.line("runtime.SetFinalizer(new([16]int), func(*[16]int) { give() })");
                self.close("}()");
                self.line("runtime.GC()");
            }
            Way::Fmt => self.line(&format!("_ = fmt.Sprint(unlockText{{{give}}})")),
            Way::Json => self.line(&format!("_, _ = json.Marshal(unlockJSON{{{give}}})")),
            Way::Sort => self.line(&format!("sort.Sort(&unlockSort{{give: {give}}})")),
            Way::Context => {
                let ctx = self.name("ctx");
                self.line(&format!(
                    "{ctx} := context.WithValue(context.Background(), contextKey{{}}, {give})"
                ));
                self.line(&format!("{ctx}.Value(contextKey{{}}).(func())()"));
            }
            Way::AfterFunc => {
                let (ctx, cancel) = (self.name("ctx"), self.name("cancel"));
                self.line(&format!(
                    "{ctx}, {cancel} := context.WithCancel(context.Background())"
                ));
                self.line(&format!("context.AfterFunc({ctx}, {give})"));
                self.line(&format!("{cancel}()"));
            }
            Way::Pool => {
                let pool = self.name("pool");
                self.line(&format!(
                    "{pool} := sync.Pool{{New: func() any {{ {give}(); return 1 }}}}"
                ));
                self.line(&format!("_ = {pool}.Get()"));
            }
            Way::OnceFunc => {
                let once = self.variable("once", "func()");
                self.line(&format!("{once} = sync.OnceFunc({give})"));
                self.line(&format!("{once}()"));
            }
            Way::Atomic => {
                let value = self.variable("value", "atomic.Value");
                self.line(&format!("{value}.Store({give})"));
                self.line(&format!("{value}.Load().(func())()"));
            }
            Way::Reaper => {
                self.reaps = true;
                self.line(&format!("reaper <- func(g *G) {{ {give}() }}"));
            }
            Way::Locker => {
                if method == "Unlock" {
                    let locker = self.variable("locker", "sync.Locker");
                    self.line(&format!("{locker} = {pointer}"));
                    self.line(&format!("{locker}.Unlock()"));
                } else {
                    self.line(&format!("{give}()"));
                }
            }
            Way::Panic => {
                self.open("func() {");
                self.line("defer func() { _ = recover() }()");
                self.line(&format!("defer {give}()"));
                self.line("panic(errBusy)");
                self.close("}()");
            }
        }
    }
}
