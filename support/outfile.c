#include "support/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(outfile *f, const char *what, int error)
{
    if (!f->failed) {
        diag *g = diag_error(f->d, (span){0, 0}, "cannot %s: %s", what, strerror(error));
        diag_in_file(g, f->path);
        diag_code(g, "cannot-write");
        const char *slash = strrchr(f->path, '/');
        if (error == ENOENT && slash) diag_hint(g, "there is no directory '%.*s'", (int)(slash - f->path), f->path);
    }
    f->failed = true;
    return false;
}

struct temporary_file {
    const char *path; /* NULL: nothing to remove */
};

static void remove_temporary(void *arg)
{
    struct temporary_file *t = arg;
    if (t->path) unlink(t->path);
    t->path = NULL;
}

static bool open_temporary(outfile *f, const char *suffix, outfile_kind kind)
{
    for (int attempt = 0; f->fd < 0; attempt++) {
        f->temporary = arena_printf(f->a, "%s.%ld-%d%s", f->path, (long)getpid(), attempt, suffix);
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kind == OUTFILE_EXECUTABLE ? 0777 : 0666);
        if (f->fd < 0 && (errno != EEXIST || attempt == 1000)) {
            f->temporary = NULL;
            return fail(f, "write", errno);
        }
    }
    f->own->path = f->temporary;
    return true;
}

bool outfile_open(outfile *f, arena *a, diags *d, const char *path, const char *suffix, outfile_kind kind)
{
    *f = (outfile){.a = a, .d = d, .path = path, .fd = -1, .own = ARENA_NEW(a, struct temporary_file)};
    arena_on_free(a, remove_temporary, f->own);
    bool to_stdout = kind == OUTFILE_TEXT && !strcmp(path, "-");
    struct stat st;
    if (to_stdout) {
        f->path = "standard output";
        f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    } else if (stat(path, &st) != 0 || S_ISREG(st.st_mode)) {
        return open_temporary(f, suffix, kind);
    } else if (S_ISDIR(st.st_mode)) {
        return fail(f, "write", EISDIR);
    } else if (kind != OUTFILE_TEXT) {
        diag *g = diag_error(d, (span){0, 0}, "cannot write: not a regular file");
        diag_in_file(g, path);
        diag_code(g, "cannot-write");
        f->failed = true;
        return false;
    } else {
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    return f->fd >= 0 || fail(f, "write", errno);
}

bool outfile_like_before(outfile *f)
{
    struct stat st;
    if (f->failed || !f->temporary) return !f->failed;
    if (access(f->path, W_OK) != 0 || stat(f->path, &st) != 0) return fail(f, "write", errno);
    /* Owner first: changing it clears bits of the mode. Only root may give files away; all others stay the owner. */
    if (fchown(f->fd, st.st_uid, st.st_gid) != 0 && errno != EPERM) return fail(f, "write", errno);
    return fchmod(f->fd, st.st_mode & 07777) == 0 || fail(f, "write", errno);
}

bool outfile_write(outfile *f, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (!f->failed && n) {
        ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(f, "write", errno);
        p += done;
        n -= (size_t)done;
    }
    return !f->failed;
}

enum { HOLE = 1 << 16 }; /* bytes; file systems have blocks of at most so many, mostly */

bool outfile_write_sparse(outfile *f, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (!f->failed && n) {
        size_t now = n < HOLE ? n : HOLE;
        bool zeros = now == HOLE && *p == 0 && memcmp(p, p + 1, now - 1) == 0;
        if (!zeros) outfile_write(f, p, now);
        else if (lseek(f->fd, (off_t)now, SEEK_CUR) < 0) return fail(f, "write", errno);
        p += now;
        n -= now;
    }
    return !f->failed;
}

bool outfile_end_holes(outfile *f)
{
    if (f->failed) return false;
    off_t end = lseek(f->fd, 0, SEEK_CUR);
    return (end >= 0 && ftruncate(f->fd, end) == 0) || fail(f, "write", errno);
}

bool outfile_write_at(outfile *f, const void *bytes, size_t n, uint64_t offset)
{
    const uint8_t *p = bytes;
    while (!f->failed && n) {
        ssize_t done = pwrite(f->fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(f, "write", errno);
        p += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
    return !f->failed;
}

bool outfile_pad(outfile *f, uint64_t to)
{
    if (f->failed) return false;
    if (ftruncate(f->fd, (off_t)to) != 0 || lseek(f->fd, (off_t)to, SEEK_SET) < 0) return fail(f, "write", errno);
    return true;
}

bool outfile_close(outfile *f)
{
    if (f->fd >= 0 && close(f->fd) != 0 && !f->failed) fail(f, "write", errno);
    f->fd = -1;
    return !f->failed;
}

bool outfile_commit(outfile *f)
{
    if (!outfile_close(f)) return false;
    if (f->temporary && rename(f->temporary, f->path) != 0) return fail(f, "write", errno);
    f->temporary = NULL;
    if (f->own) f->own->path = NULL;
    return true;
}

void outfile_discard(outfile *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
    if (f->own) remove_temporary(f->own);
    f->temporary = NULL;
}

bool outfile_make_directories(arena *a, diags *d, const char *path)
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        outfile dir = {.a = a, .d = d, .path = arena_strndup(a, path, (size_t)(slash - path))};
        if (mkdir(dir.path, 0777) && errno != EEXIST) return fail(&dir, "write", errno);
    }
    return true;
}

bool outfile_write_text(arena *a, diags *d, const char *path, const strbuf *text)
{
    outfile f;
    bool ok =
        outfile_open(&f, a, d, path, "", OUTFILE_TEXT) && outfile_write(&f, text->s, text->len) && outfile_commit(&f);
    outfile_discard(&f);
    return ok;
}
