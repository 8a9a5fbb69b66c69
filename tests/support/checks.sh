# For tests that are a list of checks. Wants $work, a directory; counts in $passed and $failed.
passed=0 failed=0

check() { # NAME COMMAND...: one test
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name: $*"
        sed 's/^/     /' "$work/log" | tail -40
    fi
}
