#define _GNU_SOURCE
#include "codegen/link.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/strbuf.h"
#include "support/vec.h"

extern char **environ;

/* ---- the C library ---- */

/* Symbols must get the versions of the C library that they are used with (old versions of the thread functions behave
 * otherwise), so an artefact is linked against the C library itself: the one that tfxc runs with, or one of the target
 * in a system root. */
typedef struct {
    arena *a;
    const char *libc, *libm;
} libraries;

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int note_library(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    libraries *l = arg;
    if (!info->dlpi_name) return 0;
    const char *name = last_component(info->dlpi_name);
    const char *path = arena_strndup(l->a, info->dlpi_name, strlen(info->dlpi_name));
    if (!strncmp(name, "libc.so.", 8) || !strncmp(name, "libc.musl-", 10) || !strncmp(name, "ld-musl-", 8))
        l->libc = path;
    if (!strncmp(name, "libm.so.", 8)) l->libm = path;
    return 0;
}

static const char *file_in(arena *a, const char *root, const char *dir, const char *name)
{
    const char *path = arena_printf(a, "%s/%s/%s", root, dir, name);
    return access(path, R_OK) == 0 ? path : NULL;
}

/* Where a system root may have its libraries: as Debian's cross compilers do, Debian's systems, and others. */
static bool libraries_in(libraries *l, const char *root, const char *triple)
{
    const char *multiarch = arena_printf(l->a, "usr/lib/%s", triple);
    const char *const dirs[] = {"lib", multiarch, multiarch + 4, "usr/lib64", "lib64", "usr/lib"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs && !l->libc; i++) {
        l->libc = file_in(l->a, root, dirs[i], "libc.so.6");
        l->libm = file_in(l->a, root, dirs[i], "libm.so.6");
    }
    return l->libc;
}

/* "aarch64-linux-gnu" of "aarch64-unknown-linux-gnu": what directories are called by. */
static const char *short_triple(arena *a, const char *triple)
{
    return arena_printf(a, "%.*s-linux-gnu", (int)strcspn(triple, "-"), triple);
}

static bool find_libraries(libraries *l, const link_target *t, diags *d)
{
    if (!t->sysroot && t->is_host) {
        dl_iterate_phdr(note_library, l);
        return true;
    }
    const char *triple = short_triple(l->a, t->triple),
               *root = t->sysroot ? t->sysroot : arena_printf(l->a, "/usr/%s", triple);
    if (libraries_in(l, root, triple)) return true;
    diag *g = diag_error(d, (span){0, 0}, "no C library for '%s' in '%s', which a shared object is linked with", triple,
                         root);
    diag_code(g, "linker");
    diag_hint(g,
              "say --sysroot=DIR (Debian: install libc6-dev-%s-cross), or write an object (.o) and link it with the "
              "target's compiler",
              !strncmp(triple, "aarch64", 7)  ? "arm64"
              : !strncmp(triple, "x86_64", 6) ? "amd64"
                                              : "riscv64");
    return false;
}

/* ---- running the linker ---- */

typedef enum { RAN, NOT_FOUND, BROKEN } run_status;

/* Everything the child writes to stdout and stderr, at most 64 KiB of it. */
static void collect(int fd, strbuf *said)
{
    char piece[4096];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        if (said->len < 65536) strbuf_add(said, piece, (size_t)n);
    }
}

static run_status run(const char *const *argv, strbuf *said, int *status)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return BROKEN;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    pid_t child;
    int error = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        errno = error;
        return error == ENOENT ? NOT_FOUND : BROKEN;
    }
    collect(ends[0], said);
    close(ends[0]);
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR) return BROKEN;
    return RAN;
}

/* The linker of the LLVM in use first: its own path as found when tfxc was built, then by name. */
static const char *const default_linkers[] = {
#ifdef TFXC_LINKER
    TFXC_LINKER,
#endif
#define STRING_(x) #x
#define STRING(x) STRING_(x)
    "ld.lld-" STRING(LLVM_MAJOR),
    "ld.lld",
};
enum { N_LINKERS = sizeof default_linkers / sizeof *default_linkers };

bool link_shared(const link_target *t, const char *object, const char *out, const char *soname, arena *a, diags *d)
{
    const char *linker = t->linker;
    libraries l = {.a = a};
    if (!find_libraries(&l, t, d)) return false;
    VEC(const char *) argv = {0};
    const char *const fixed[] = {
        "",     "-shared",    "--no-undefined", "--build-id=none", "--hash-style=gnu", "-z",   "relro", "-z",
        "now",  "-z",         "noexecstack",    "--eh-frame-hdr",  "-soname",          soname, "-o",    out,
        object, "--as-needed"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) vec_push(a, &argv, fixed[i]);
    if (l.libm) vec_push(a, &argv, l.libm);
    if (l.libc) vec_push(a, &argv, l.libc);
    vec_push(a, &argv, NULL);

    run_status ran = NOT_FOUND;
    strbuf said = strbuf_new(a);
    int status = 0;
    if (linker) {
        argv.data[0] = linker;
        ran = run(argv.data, &said, &status);
    } else {
        for (int i = 0; i < N_LINKERS && ran == NOT_FOUND; i++) {
            argv.data[0] = default_linkers[i];
            ran = run(argv.data, &said, &status);
        }
    }
    if (ran == RAN && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (ran != RAN) {
        diag *g =
            diag_error(d, (span){0, 0}, "cannot run the linker '%s': %s", linker ? linker : "ld.lld", strerror(errno));
        diag_code(g, "linker");
        diag_hint(g, "install lld-" STRING(LLVM_MAJOR) ", or name a linker with --linker=");
        return false;
    }
    diag *g = diag_error(d, (span){0, 0}, "the linker '%s' failed", argv.data[0]);
    diag_code(g, "linker");
    for (char *s = said.s, *end; *s; s = end + (*end != 0)) {
        end = s + strcspn(s, "\n");
        if (end > s) diag_note(g, "%.*s", (int)(end - s), s);
    }
    return false;
}
