/* The loader: finds a model in a shared object at run time. */
#define _GNU_SOURCE
#include "runtime/tfx.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static tfx_status refuse(const tfx_options *o, tfx_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static tfx_status refuse(const tfx_options *o, tfx_status status, const char *fmt, ...)
{
    if (o && o->size >= TFX_OPTIONS_LEAST && o->message && o->message_bytes) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(o->message, o->message_bytes, fmt, ap);
        va_end(ap);
    }
    return status;
}

/* How long the ELF file `fd` must be to hold what its headers say; 0 when it is none of this machine. */
static uint64_t whole_size(int fd)
{
    ElfW(Ehdr) e;
    ElfW(Phdr) p;
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one;
    if (pread(fd, &e, sizeof e, 0) != (ssize_t)sizeof e || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
        e.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        e.e_ident[EI_DATA] != (little ? ELFDATA2LSB : ELFDATA2MSB) || e.e_phentsize != sizeof p)
        return 0;
    uint64_t size = e.e_shoff ? e.e_shoff + (uint64_t)e.e_shnum * e.e_shentsize : 0;
    for (unsigned i = 0; i < e.e_phnum; i++) {
        if (pread(fd, &p, sizeof p, (off_t)(e.e_phoff + i * sizeof p)) != (ssize_t)sizeof p) return 0;
        if (p.p_type == PT_LOAD && p.p_offset + p.p_filesz > size) size = p.p_offset + p.p_filesz;
    }
    return size;
}

/* dlopen does not look whether a file has what its headers promise, and touching pages that are not there ends the
 * program. False with the sizes for a file that was cut off, such as a copy that failed half-way. */
static bool is_whole(const char *path, uint64_t *expected, uint64_t *got)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *expected = fd < 0 ? 0 : whole_size(fd);
    *got = fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ? UINT64_MAX : (uint64_t)st.st_size;
    if (fd >= 0) close(fd);
    return *got >= *expected;
}

static tfx_status refuse_older(const tfx_options *o, const char *path, const char *what, uint32_t got, size_t expected)
{
    return refuse(o, TFX_ERR_VERSION,
                  "%s: the model is older than this program: %s is %u, expected %u; compile it again", path, what, got,
                  (unsigned)expected);
}

/* Whether the model has what tfx.h says, or more. */
static tfx_status check_version(const tfx_options *o, const char *path, const tfx_api *api)
{
    static const char version[] = "the version of its interface";
    if (api->abi_version > TFX_ABI_VERSION)
        return refuse(o, TFX_ERR_VERSION,
                      "%s: the model is newer than this program: %s is %u, expected %u; build the program with the "
                      "tfx.h and libtfx.a of the tfxc that compiled the model",
                      path, version, api->abi_version, TFX_ABI_VERSION);
    if (api->abi_version < TFX_ABI_VERSION) return refuse_older(o, path, version, api->abi_version, TFX_ABI_VERSION);
    if (api->size < sizeof(tfx_api))
        return refuse_older(o, path, "the size of its tfx_api", api->size, sizeof(tfx_api));
    uint32_t size = api->info()->size;
    return size >= sizeof(tfx_info) ? TFX_OK
                                    : refuse_older(o, path, "the size of its tfx_info", size, sizeof(tfx_info));
}

tfx_status tfx_load(const char *path, const tfx_options *options, const tfx_api **api, void **library)
{
    if (!api || !library) return refuse(options, TFX_ERR_ARGUMENT, "load: api or library is NULL");
    *api = NULL;
    *library = NULL;
    if (!path || !*path) return refuse(options, TFX_ERR_ARGUMENT, "open: path is empty");
    /* dlopen searches the system's directories for a name without '/'; a file in the current directory is what is
     * meant. */
    char *here = NULL;
    if (!strchr(path, '/') && access(path, F_OK) == 0 && asprintf(&here, "./%s", path) < 0)
        return refuse(options, TFX_ERR_MEMORY, "%s: no memory", path);
    const char *file = here ? here : path;
    uint64_t expected, got;
    bool whole = !strchr(file, '/') || is_whole(file, &expected, &got);
    void *loaded = whole ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : NULL;
    free(here);
    if (!whole)
        return refuse(options, TFX_ERR_LOAD, "%s: the file is cut off: expected %llu bytes, got %llu", path,
                      (unsigned long long)expected, (unsigned long long)got);
    if (!loaded) return refuse(options, TFX_ERR_LOAD, "%s", dlerror());
    tfx_model_v1_fn *find = NULL;
    void *symbol = dlsym(loaded, TFX_MODEL_SYMBOL);
    memcpy(&find, &symbol, sizeof find); /* ISO C has no conversion from object to function pointers */
    const tfx_api *found = find ? find() : NULL;
    tfx_status s = found ? check_version(options, path, found)
                         : refuse(options, TFX_ERR_LOAD, "%s: not a model of tfxc (it lacks the symbol %s)", path,
                                  TFX_MODEL_SYMBOL);
    if (s == TFX_OK) {
        *api = found;
        *library = loaded;
        return TFX_OK;
    }
    dlclose(loaded);
    return s;
}

void tfx_unload(void *library)
{
    if (library) dlclose(library);
}

tfx_status tfx_open(const char *path, const tfx_options *options, tfx_model **out)
{
    if (!out) return refuse(options, TFX_ERR_ARGUMENT, "open: out is NULL");
    *out = NULL;
    const tfx_api *api;
    void *library;
    tfx_status s = tfx_load(path, options, &api, &library);
    if (s == TFX_OK) s = api->open(options, out);
    if (s != TFX_OK) {
        tfx_unload(library);
        return s;
    }
    (*out)->library = library;
    (*out)->unload = tfx_unload;
    return TFX_OK;
}

const char *tfx_status_name(int32_t status)
{
    static const char *const names[] = {
        [TFX_OK] = "TFX_OK",
        [TFX_ERR_ARGUMENT] = "TFX_ERR_ARGUMENT",
        [TFX_ERR_DTYPE] = "TFX_ERR_DTYPE",
        [TFX_ERR_RANK] = "TFX_ERR_RANK",
        [TFX_ERR_SHAPE] = "TFX_ERR_SHAPE",
        [TFX_ERR_BOUND] = "TFX_ERR_BOUND",
        [TFX_ERR_REQUIRE] = "TFX_ERR_REQUIRE",
        [TFX_ERR_STRIDE] = "TFX_ERR_STRIDE",
        [TFX_ERR_ALIGNMENT] = "TFX_ERR_ALIGNMENT",
        [TFX_ERR_ALIAS] = "TFX_ERR_ALIAS",
        [TFX_ERR_VALUE] = "TFX_ERR_VALUE",
        [TFX_ERR_WORKSPACE] = "TFX_ERR_WORKSPACE",
        [TFX_ERR_MEMORY] = "TFX_ERR_MEMORY",
        [TFX_ERR_WEIGHTS] = "TFX_ERR_WEIGHTS",
        [TFX_ERR_CPU] = "TFX_ERR_CPU",
        [TFX_ERR_BUSY] = "TFX_ERR_BUSY",
        [TFX_ERR_LOAD] = "TFX_ERR_LOAD",
        [TFX_ERR_VERSION] = "TFX_ERR_VERSION",
    };
    return status >= 0 && (size_t)status < sizeof names / sizeof *names ? names[status] : "?";
}

const char *tfx_dtype_name(int32_t dtype)
{
    static const char *const names[] = {
        [TFX_BOOL] = "bool", [TFX_I8] = "i8",         [TFX_U8] = "u8",         [TFX_I16] = "i16",
        [TFX_U16] = "u16",   [TFX_I32] = "i32",       [TFX_U32] = "u32",       [TFX_I64] = "i64",
        [TFX_U64] = "u64",   [TFX_F16] = "f16",       [TFX_BF16] = "bf16",     [TFX_F32] = "f32",
        [TFX_F64] = "f64",   [TFX_F8E4M3] = "f8e4m3", [TFX_F8E5M2] = "f8e5m2", [TFX_F8E8M0] = "f8e8m0",
        [TFX_F4] = "f4",     [TFX_F6E2M3] = "f6e2m3", [TFX_F6E3M2] = "f6e3m2",
    };
    return dtype >= 0 && (size_t)dtype < sizeof names / sizeof *names ? names[dtype] : "?";
}
