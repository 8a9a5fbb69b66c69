# For tests that are a list of checks. Wants $work, a directory; counts in $passed and $failed.
passed=0 failed=0

try() { # NAME COMMAND...: one test, of which nothing is said when it passes; whether it does
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name: $*"
        sed 's/^/     /' "$work/log" | tail -40
        return 1
    fi
}

check() { # NAME COMMAND...: one test
    if try "$@"; then echo "ok   $1"; fi
}
