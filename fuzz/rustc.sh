#!/bin/sh
# Compiles this workspace with the counters that libFuzzer is guided by. cargo runs it in place of rustc for
# the members of the workspace only (RUSTC_WORKSPACE_WRAPPER), and keeps what it makes apart. Build scripts
# are programs of their own, without libFuzzer, and so is what they are linked with.
case " $* " in
*" --crate-name build_script_"* | *" --crate-name tracer_ebpf_build "*) exec "$@" ;;
esac
exec "$@" -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
